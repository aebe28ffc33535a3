import { DelayedError, type Job as QueuedJob } from 'bullmq'

import type { Carried } from '../engines/queue/carried.ts'
import { type WorkerReport, lackOf } from '../engines/queue/hosts.ts'
import type { JobError } from '../job/job.ts'

/** How often a job goes back when no worker is known that could do it. */
const HOPELESS = 5

/** How often it goes back while another worker might. */
const HOPEFUL = 200

/** Milliseconds until it is offered again. */
const OFFER_MS = { hopeful: 250, hopeless: 1_000 }

/** How many reasons are kept. */
const REASONS = 8

/**
 * What a worker does with a job that its host cannot do: puts it back, so that another takes it.
 * Returns the reason when there have been tries enough, and does not return when it goes back.
 */
export async function refuse(
  queued: QueuedJob<Carried>,
  error: JobError,
  own: { readonly host: string; readonly name: string; readonly token: string },
  workers: readonly WorkerReport[],
): Promise<JobError> {
  const { data } = queued
  const others = (data.refusals ?? []).filter(({ host }) => host !== own.host)
  const refusals = [{ host: own.host, error }, ...others].slice(0, REASONS)
  const hasHope = workers.some(
    ({ name, host, labels, state }) =>
      name !== own.name &&
      state === 'running' &&
      !refusals.some((refusal) => refusal.host === host) &&
      lackOf(data.job, labels) === undefined,
  )
  const tries = { hopeful: 0, hopeless: 0, ...data.tries }
  const kind = hasHope ? 'hopeful' : 'hopeless'
  tries[kind]++
  if (tries.hopeless > HOPELESS || tries.hopeful > HOPEFUL) return summary(error, refusals)
  await queued.updateData({ ...data, refusals, tries })
  await queued.moveToDelayed(Date.now() + OFFER_MS[kind], own.token)
  // BullMQ's word for: it is not in my hands any more.
  throw new DelayedError()
}

function summary(error: JobError, refusals: Carried['refusals'] & {}): JobError {
  const reasons = refusals.map((refusal) => `${refusal.host}: ${refusal.error.message}`)
  return { code: error.code, message: `no worker can do it: ${reasons.join('; ')}` }
}
