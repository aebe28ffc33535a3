import { setTimeout as sleep } from 'node:timers/promises'

import { fromQueueId, keys } from '../../engines/queue/names.ts'
import { LiveLine, print, tell } from '../output.ts'
import { type Opened, withQueue } from '../queue.ts'
import { type Run, exitCodes } from '../verb.ts'

/** Milliseconds between two looks. */
const AGAIN_MS = 200

/** Seconds for which those who made the jobs can hear of their end. */
const ENDED_SECONDS = 3_600

/** `vmexit fleet drain`. */
export const drain: Run = async ({ values }) =>
  await withQueue(values, async (opened) => {
    const { queue } = opened
    if (values['resume']) {
      await queue.resume()
      return said(values['json'] === true, {
        isPaused: false,
        discarded: 0,
        ...(await left(opened)),
      })
    }
    await queue.pause()
    const discarded = values['discard'] ? await discard(opened) : 0
    const live = new LiveLine()
    for (;;) {
      const { running } = await left(opened)
      if (running === 0) break
      live.show(`${running} run`)
      await sleep(AGAIN_MS)
    }
    live.clear()
    return said(values['json'] === true, { isPaused: true, discarded, ...(await left(opened)) })
  })

async function left({ queue }: Opened): Promise<{ waiting: number; running: number }> {
  const counts = await queue.getJobCounts('waiting', 'delayed', 'active')
  const { waiting = 0, delayed = 0, active = 0 } = counts
  return { waiting: waiting + delayed, running: active }
}

/** Ends the campaigns that have jobs in the queue; those who made them hear of it. */
async function discard({ name, redis, queue }: Opened): Promise<number> {
  const jobs = await queue.getJobs(['waiting', 'delayed', 'active'])
  const campaigns = new Set(jobs.flatMap((job) => fromQueueId(job?.id ?? '')?.campaign ?? []))
  for (const campaign of campaigns)
    await redis.set(keys.ended(name, campaign), 'fleet drain --discard', 'EX', ENDED_SECONDS)
  const { waiting } = await left({ name, redis, queue })
  await queue.drain(true)
  return waiting
}

function said(isJson: boolean, now: Record<string, unknown>): number {
  if (isJson) print(JSON.stringify(now))
  else {
    const { isPaused, discarded, waiting, running } = now
    const state = isPaused ? 'workers take nothing' : 'workers take jobs'
    tell(
      `${state}: ${String(waiting)} wait, ${String(running)} run, ${String(discarded)} discarded`,
    )
  }
  return exitCodes.fine
}
