import { availableParallelism } from 'node:os'
import { resolve } from 'node:path'

import { Children } from '../../child/children.ts'
import { Cache } from '../../store/cache.ts'
import { storeOf } from '../../store/index.ts'
import { labelsOf } from '../../worker/labels.ts'
import { Worker, type WorkerEvent } from '../../worker/worker.ts'
import { plain, print, tell } from '../output.ts'
import { redisOf } from '../queue.ts'
import { type Run, durationOf, exitCodes, numberOf, textOf, usage } from '../verb.ts'

/** Milliseconds after which a job of a worker that is not heard of runs elsewhere. */
const LOCK_MS = 10_000

/** Bounds of it: less than a host's short absence makes jobs run twice for nothing. */
const lockBounds = { least: 500, most: 3_600_000 }

/** `vmexit fleet worker`. */
export const worker: Run = async ({ values }) => {
  const connection = redisOf(values)
  const concurrency = numberOf(values, 'concurrency', 1_000) ?? availableParallelism()
  const lockMs = durationOf(values, 'lock') ?? LOCK_MS
  if (lockMs < lockBounds.least || lockMs > lockBounds.most) usage('--lock must be 500ms to 60m')
  const folder = textOf(values, 'modules')
  const modules = folder === undefined ? undefined : resolve(folder)
  const from = textOf(values, 'store')
  const store = from === undefined ? undefined : storeOf(from)
  const labels = await labelsOf(modules)
  const cache = new Cache({ store, folder: textOf(values, 'cache') })
  const runner = new Children({ size: concurrency, modules, cache })
  const queue = textOf(values, 'queue')
  const onEvent = (event: WorkerEvent): void => log(event, values['json'] === true)
  const name = textOf(values, 'name')
  if (name !== undefined && !/^[\w.-]{1,100}$/.test(name))
    usage('--name must be 1 to 100 of A-Z a-z 0-9 . _ -')
  const options = { connection, queue, concurrency, name, lockMs, labels, runner, onEvent }
  const running = await Worker.start(options)
  const { backend, modes } = labels
  if (values['json']) print(JSON.stringify({ event: 'ready', name: running.name, labels }))
  else
    tell(
      `${running.name} takes ${concurrency} jobs at a time: ${backend}, ${modes.join(' ') || 'no mode'}`,
    )
  const code = await untilSignalled(running)
  await store?.close()
  return code
}

/** The first SIGTERM or SIGINT drains, the second ends at once. */
async function untilSignalled(running: Worker): Promise<number> {
  return await new Promise((end) => {
    let isDraining = false
    const signalled = (): void => {
      const first = !isDraining
      isDraining = true
      if (first) {
        tell('takes nothing further, and ends when what runs has ended; again ends at once')
        void running.drain().then(() => end(exitCodes.fine))
      } else {
        void running.end().then(() => end(exitCodes.interrupted))
      }
    }
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, signalled)
  })
}

function log(event: WorkerEvent, isJson: boolean): void {
  if (isJson) return print(JSON.stringify({ time: new Date().toISOString(), ...event }))
  const { event: what, id, message } = event
  if (what === 'began') return
  const words = [what, id, message?.split('\n')[0]].filter((word) => word !== undefined)
  print(plain(words.join('  ')))
}
