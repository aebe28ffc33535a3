import type { Job, JsonValue } from '../job/job.ts'
import type { Outcome } from '../job/outcome.ts'
import type { Shared } from '../job/shared.ts'

/** How a job shall be run. */
export interface Attempt {
  /** Milliseconds, where the job does not say. */
  readonly timeoutMs?: number | undefined
  /** Ends it; what it resolves to then is not looked at. */
  readonly signal: AbortSignal
  readonly shared: Shared
  readonly onProgress?: ((value: JsonValue) => void) | undefined
}

/** Runs jobs in child processes, several at a time. */
export interface Runner {
  run(job: Job, attempt: Attempt): Promise<Outcome>
  /** Ends the children. */
  close(): Promise<void>
}
