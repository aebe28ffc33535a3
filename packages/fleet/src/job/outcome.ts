import { hostname } from 'node:os'

import type { JobError, JsonValue, Result } from './job.ts'

/** How one attempt at a job has ended. */
export type Outcome = OutcomeTimes &
  (
    | { readonly kind: 'done'; readonly value: JsonValue }
    /**
     * `failed`: the job's own fault, which another attempt would find, too. `lacking`: this host
     * cannot do it, and another may. `crashed`: its process died or was ended at the time-out.
     */
    | { readonly kind: 'failed' | 'lacking' | 'crashed'; readonly error: JobError }
  )

/** What an attempt took, in milliseconds. */
export interface OutcomeTimes {
  /** From its beginning to its end. */
  readonly durationMs: number
  /** In runs of machines and programs. */
  readonly guestMs: number
}

/** The result that an attempt ends a job with. */
export function resultOf(id: string, outcome: Outcome, attempts: number): Result {
  const { kind, durationMs, guestMs } = outcome
  const rest = { attempts, host: hostname(), durationMs, guestMs }
  return kind === 'done'
    ? { id, status: 'done', value: outcome.value, ...rest }
    : { id, status: 'failed', error: outcome.error, ...rest }
}
