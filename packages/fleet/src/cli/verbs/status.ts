import { setTimeout as sleep } from 'node:timers/promises'

import { type WorkerReport, workersOf } from '../../engines/queue/hosts.ts'
import { plain, print, seconds } from '../output.ts'
import { type Opened, withQueue } from '../queue.ts'
import { table } from '../table.ts'
import { type Run, exitCodes } from '../verb.ts'

/** Milliseconds between two looks of --watch. */
const AGAIN_MS = 1_000

/** What there is to say of a queue. */
interface Status {
  readonly queue: string
  readonly isPaused: boolean
  /** Jobs that wait for a worker, that wait for another try, and that run. */
  readonly waiting: number
  readonly delayed: number
  readonly running: number
  /** Results that are kept. */
  readonly kept: number
  /** Jobs that these workers have ended a second, since the last look or since they started. */
  readonly perSecond: number
  /** Of the time that their children had, the share that was spent in guests: 0 to 1. */
  readonly guestShare: number
  readonly workers: readonly WorkerReport[]
}

/** `vmexit fleet status`. */
export const status: Run = async ({ values }) =>
  await withQueue(values, async (opened) => {
    let before = await look(opened)
    show(before, values['json'] === true)
    while (values['watch']) {
      await sleep(AGAIN_MS)
      const after = await look(opened, before)
      // From the top left corner, and nothing of the last table after it.
      if (!values['json']) process.stdout.write('\u001B[H\u001B[J')
      show(after, values['json'] === true)
      before = after
    }
    return exitCodes.fine
  })

async function look({ name, redis, queue }: Opened, before?: Status): Promise<Status> {
  const [workers, isPaused, counts] = await Promise.all([
    workersOf(redis, name),
    queue.isPaused(),
    queue.getJobCounts('waiting', 'delayed', 'active', 'completed', 'failed'),
  ])
  const { waiting = 0, delayed = 0, active = 0, completed = 0, failed = 0 } = counts
  return {
    ...{ queue: name, isPaused, waiting, delayed, running: active, kept: completed + failed },
    ...ratesOf(workers, before?.workers ?? []),
    workers,
  }
}

/** What changed since the last look, of workers that were there then; else since they started. */
function ratesOf(
  workers: readonly WorkerReport[],
  before: readonly WorkerReport[],
): Pick<Status, 'perSecond' | 'guestShare'> {
  let [perSecond, guestMs, childMs] = [0, 0, 0]
  for (const now of workers) {
    const none = { done: 0, failed: 0, guestMs: 0, uptimeMs: 0 }
    const then = before.find(({ name }) => name === now.name) ?? none
    const ms = now.uptimeMs - then.uptimeMs
    if (ms <= 0) continue
    perSecond += ((now.done + now.failed - then.done - then.failed) / ms) * 1000
    guestMs += now.guestMs - then.guestMs
    childMs += ms * now.concurrency
  }
  return { perSecond, guestShare: childMs === 0 ? 0 : Math.min(1, guestMs / childMs) }
}

function show(found: Status, isJson: boolean): void {
  if (isJson) return print(JSON.stringify(found))
  const { queue, isPaused, waiting, delayed, running, kept, workers } = found
  const state = isPaused ? ' is drained: workers take nothing' : ''
  print(
    `${queue}${state}: ${waiting} wait, ${delayed} for another try, ${running} run, ${kept} kept`,
  )
  const share = (found.guestShare * 100).toFixed(0)
  print(`${found.perSecond.toFixed(1)} a second, ${share} % of the children's time in guests`)
  if (workers.length === 0) return print('no worker')
  print('')
  print(
    table(['WORKER', 'STATE', 'RUNS', 'DONE', 'FAILED', 'DIED', 'GUESTS', 'KVM'], workers.map(row)),
  )
}

function row(worker: WorkerReport): string[] {
  const { name, state, running, concurrency, done, failed, crashed, guestMs, labels } = worker
  return [
    ...[plain(name), state, `${running.length}/${concurrency}`, `${done}`, `${failed}`],
    ...[`${crashed}`, seconds(guestMs), plain(`${labels.backend} ${labels.modes.join(' ')}`)],
  ]
}
