import type { Job as QueuedJob } from 'bullmq'

import type { Job, JobError, Result } from '../../job/job.ts'
import { fromQueueId, isName } from './names.ts'

/** What stands in the queue for a job. */
export interface Carried {
  readonly campaign: string
  readonly job: Job
  /** Milliseconds for one attempt, where the job does not say. */
  readonly timeoutMs?: number
  /** Who could not do it, and why. */
  readonly refusals?: readonly Refusal[]
  /** How often it went back: while another worker might do it, and while none was known. */
  readonly tries?: { readonly hopeful: number; readonly hopeless: number }
}

/** A worker that could not do a job. */
interface Refusal {
  readonly host: string
  readonly error: JobError
}

/** Whether what came from the queue has this shape; its job is not looked at. */
export function isCarried(value: unknown): value is Carried {
  if (typeof value !== 'object' || value === null) return false
  const { campaign, job, timeoutMs, refusals, tries } = value as Record<string, unknown>
  return (
    isName(campaign) &&
    typeof job === 'object' &&
    (timeoutMs === undefined || isCount(timeoutMs)) &&
    (refusals === undefined || (Array.isArray(refusals) && refusals.every(isRefusal))) &&
    (tries === undefined || isTries(tries))
  )
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0
}

function isRefusal(value: unknown): value is Refusal {
  const { host, error } = (value ?? {}) as Partial<Refusal>
  return typeof host === 'string' && typeof error?.message === 'string'
}

function isTries(value: unknown): boolean {
  const { hopeful, hopeless } = (value ?? {}) as Record<string, unknown>
  return isCount(hopeful) && isCount(hopeless)
}

/** The result of a job of the queue; `undefined` while it has none. */
export function resultOf(job: Partial<QueuedJob>): Result | undefined {
  const { finishedOn, returnvalue, failedReason, attemptsMade = 0, stalledCounter = 0 } = job
  const { id } = fromQueueId(job.id ?? '') ?? {}
  if (id === undefined || !finishedOn) return undefined
  if (isResult(returnvalue)) return { ...returnvalue, id }
  // No worker has told of it: BullMQ itself has ended it.
  const error = { code: 'ERR_LIMIT', message: `its workers were lost: ${failedReason ?? '-'}` }
  const rest = { attempts: attemptsMade + stalledCounter, host: '', durationMs: 0, guestMs: 0 }
  return { id, status: 'failed', error, ...rest }
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
