import type { Job as QueuedJob } from 'bullmq'

import type { Job, JobError, Result } from '../../job/job.ts'
import { fromQueueId } from './names.ts'

/** What stands in the queue for a job. */
export interface Carried {
  readonly campaign: string
  readonly job: Job
  /** Milliseconds for one attempt, where the job does not say. */
  readonly timeoutMs?: number
  /** Who could not do it, and why. */
  readonly refusals?: readonly Refusal[]
}

/** A worker that could not do a job. */
export interface Refusal {
  readonly host: string
  readonly error: JobError
}

/** The fields of a queued job that tell what became of it. */
export type Finished = Pick<
  QueuedJob,
  'id' | 'finishedOn' | 'returnvalue' | 'failedReason' | 'attemptsMade' | 'stalledCounter'
>

/** The result of a job of the queue; `undefined` while it has none. */
export function resultOf(job: Finished): Result | undefined {
  const { id } = fromQueueId(job.id ?? '') ?? {}
  if (id === undefined || !job.finishedOn) return undefined
  if (isResult(job.returnvalue)) return { ...job.returnvalue, id }
  return lost(id, job.failedReason ?? 'no result', job.attemptsMade + job.stalledCounter)
}

/** The result of a job of which no worker has told any. */
export function lost(id: string, reason: string, attempts: number): Result {
  const error = /stalled/.test(reason)
    ? { code: 'ERR_LIMIT', message: `its workers were lost each time: ${reason}` }
    : { code: 'ERR_INTERNAL', message: reason }
  return { id, status: 'failed', error, attempts, host: '', durationMs: 0, guestMs: 0 }
}

/** Whether it has a result's shape; its value may be anything. */
export function isResult(value: unknown): value is Result {
  if (typeof value !== 'object' || value === null) return false
  const { status, attempts, host, durationMs, guestMs } = value as Record<string, unknown>
  return (
    (status === 'done' || status === 'failed') &&
    typeof host === 'string' &&
    [attempts, durationMs, guestMs].every((number) => Number.isFinite(number))
  )
}
