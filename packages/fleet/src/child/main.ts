// A process that runs jobs, one at a time. Its parent feeds it, and ends it at a time-out.
import { Worker } from 'node:worker_threads'

import { toJobError } from '../job/error.ts'
import type { JsonValue } from '../job/job.ts'
import { MissingModule, runModule } from './module.ts'
import { runNative } from './native.ts'
import type { Answer, Ask, Assignment, Down, Ended, Up } from './protocol.ts'
import { mostValue } from './protocol.ts'
import { type Clock, runMachine } from './run.ts'

/**
 * A module may never give its thread back, and then nothing here hears that the parent has died: a
 * thread looks for it.
 */
function watchParent(): Worker {
  const look = `setInterval(() => {
    if (process.ppid !== ${process.ppid}) process.kill(process.pid, 'SIGKILL')
  }, 1000)`
  const worker = new Worker(look, { eval: true, execArgv: [] })
  worker.unref()
  return worker
}
let guard: Worker | undefined

/** What is this host's lack, and no fault of the job's. */
const lacks = new Set([
  'ERR_KVM_UNAVAILABLE',
  'ERR_KVM_CAPABILITY',
  'ERR_KVM_IOCTL',
  'ERR_BINDING_UNAVAILABLE',
])

const send = (message: Up): void => void process.send?.(message)

const waiting = new Map<number, (answer: Answer) => void>()
let calls = 0

/** Has the parent do what only it can. */
async function ask<T>(what: Ask['what'], key: string, value?: unknown): Promise<T> {
  const call = (calls += 1)
  send({ type: 'ask', call, what, key, value })
  const answer = await new Promise<Answer>((resolve) => waiting.set(call, resolve))
  if (answer.error) throw Object.assign(new Error(answer.error.message), answer.error)
  return answer.value as T
}

const ways = {
  progress: (value: JsonValue) => send({ type: 'progress', value: bounded(value) }),
  store: {
    put: (content: Uint8Array) => ask<string>('put', '', content),
    path: (hash: string) => ask<string>('path', hash),
  },
  shared: {
    get: (key: string) => ask<JsonValue | undefined>('get', key),
    set: (key: string, value: JsonValue) => ask<void>('set', key, value),
    add: (key: string, value: JsonValue) => ask<boolean>('add', key, value),
  },
}

/** As JSON has it, and not too much of it. */
function bounded(value: unknown): JsonValue {
  const text =
    JSON.stringify(value, (_, item: unknown) =>
      typeof item === 'bigint' ? item.toString() : item,
    ) ?? 'null'
  if (text.length <= mostValue) return JSON.parse(text) as JsonValue
  const message = `a value has at most ${mostValue} characters of JSON, this one ${text.length}`
  throw Object.assign(new Error(message), { code: 'ERR_LIMIT' })
}

async function run(assignment: Assignment): Promise<Ended> {
  const clock: Clock = { guestMs: 0 }
  const { job } = assignment
  try {
    if (job.module !== undefined) guard ??= watchParent()
    const value =
      job.module !== undefined
        ? await runModule(assignment, clock, ways)
        : await (job.native ? runNative : runMachine)(assignment, clock)
    return { type: 'ended', kind: 'done', value: bounded(value), guestMs: clock.guestMs }
  } catch (error) {
    const told = toJobError(error)
    const isLack = error instanceof MissingModule || lacks.has(told.code)
    const kind = isLack ? 'lacking' : 'failed'
    return { type: 'ended', kind, error: told, guestMs: clock.guestMs }
  }
}

process.on('message', (message: Down) => {
  if (message.type === 'answer') {
    waiting.get(message.call)?.(message)
    waiting.delete(message.call)
    return
  }
  void run(message).then(send)
})
send({ type: 'ready' })
// Without its parent it has nothing to do.
process.on('disconnect', () => process.exit(0))
// The parent decides when it is over.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => undefined)
