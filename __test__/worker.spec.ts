// Machines in worker threads: terminated in the middle of a run, ending by themselves, several at
// once.
import { setTimeout as sleep } from 'node:timers/promises'
import { Worker } from 'node:worker_threads'

import type { ExecutionContext } from 'ava'
import { guests } from '../src/index.ts'
import { census } from './fixtures/census.ts'
import { serialTest } from './fixtures/serial.ts'
import { until } from './fixtures/until.ts'
import { machine } from './helpers/machine.ts'
import { affordable } from './helpers/speed.ts'

/** A worker and all that is heard of it. */
interface Begun {
  worker: Worker
  /** Questions to its devices so far. */
  asked: Int32Array
  messages: unknown[]
  errors: unknown[]
  exitCode: Promise<number>
}

/** A worker whose machines are at it. */
async function begin(scenario: string): Promise<Begun> {
  const asked = new Int32Array(new SharedArrayBuffer(4))
  const worker = new Worker(new URL('fixtures/worker.mjs', import.meta.url), {
    workerData: { scenario, asked: asked.buffer },
    execArgv: [],
  })
  const messages: unknown[] = []
  const errors: unknown[] = []
  worker.on('message', (message) => messages.push(message))
  worker.on('error', (error) => errors.push(error))
  const exitCode = new Promise<number>((resolve) => worker.on('exit', resolve))
  const begun = { worker, asked, messages, errors, exitCode }
  await heard(begun, 1)
  return begun
}

/** Waits for the first `count` messages. */
async function heard({ messages, errors }: Begun, count: number): Promise<unknown[]> {
  const pause = (): Promise<unknown> => sleep(1)
  if (await until(() => messages.length >= count, 300_000, pause)) return messages
  throw new Error(`${messages.length} messages of ${count}; ${errors.join()}`)
}

/** What a process keeps of KVM once it has had a machine: the descriptor of one vCPU. */
const keptFiles = 1

/** Nothing of any worker is left, and this thread's machines work. */
async function assertClean(t: ExecutionContext): Promise<void> {
  const isClean = ({ vcpuThreads, kvmFiles, kvmMappings } = census()): boolean =>
    vcpuThreads + kvmMappings === 0 && kvmFiles <= keptFiles
  t.true(await until(isClean, 300_000), JSON.stringify(census()))
  for (const kind of ['run', 'runSync'] as const) {
    using vm = machine(guests.hello, [{ port: 0xe9, to: 'console' }])
    t.is((await vm[kind]()).outputText, 'Hello, world!\n')
  }
}

/** Terminates workers in a scenario so often; none may take long. */
async function terminate(t: ExecutionContext, scenario: string, wanted: number): Promise<void> {
  const times = affordable(wanted)
  const tookMs: number[] = []
  for (let index = 0; index < times; index++) {
    const { worker, asked } = await begin(scenario)
    if (/device|promise|handler that/.test(scenario)) t.true(await until(() => asked[0]! > 0))
    else await sleep(index % 5 === 0 ? 60 : index * 2)
    const start = performance.now()
    t.is(await worker.terminate(), 1)
    tookMs.push(performance.now() - start)
  }
  const [mean, most] = [tookMs.reduce((sum, ms) => sum + ms, 0) / times, Math.max(...tookMs)]
  t.log(`terminate() took ${mean.toFixed(0)} ms on average, at most ${most.toFixed(0)} ms`)
  // A busy host may hold up some of them.
  const middle = tookMs.toSorted((a, b) => a - b)[Math.floor(times / 2)]!
  t.true(middle < 5000)
  await assertClean(t)
}

for (const scenario of ['run, spinning', 'runSync, spinning']) {
  serialTest(`20 times terminated in: ${scenario}`, (t) => terminate(t, scenario, 20))
}

for (const scenario of [
  'run, posted writes all the time',
  'run, several machines',
  'run, paused',
  'runSync, a device asked all the time',
  'runSync, exits that Rust answers',
  'runSync, a handler that never returns',
  'runSync, text all the time',
  'runSync inside a handler of run',
  'run, a device asked all the time',
  'run, promises all the time',
  'run, exits that Rust answers',
  'run, a promise that never settles',
  'run, a handler that never returns',
  'run, text all the time',
]) {
  serialTest(`terminated in: ${scenario}`, (t) => terminate(t, scenario, 3))
}

for (const [scenario, code] of Object.entries({
  'ends with idle machines': 0,
  'ends with running machines': 0,
  'throws with a running machine': 1,
  'calls process.exit with a running machine': 7,
})) {
  serialTest(`a worker that ${scenario} exits with ${code}`, async (t) => {
    for (let index = 0; index < affordable(5); index++) {
      const { exitCode, errors } = await begin(scenario)
      t.is(await exitCode, code)
      t.deepEqual(errors.map(String), code === 1 ? ['Error: on purpose'] : [])
    }
    await assertClean(t)
  })
}

serialTest('a worker takes the threads with it that wait for its next run', async (t) => {
  t.true(await until(() => census().idleThreads === 0))
  const begun = await begin('finishes its runs')
  t.deepEqual(await heard(begun, 2), ['ready', Array(10).fill('Hello, world!\n')])
  t.is(await begun.exitCode, 0)
  t.is(census().idleThreads, 0)
})

serialTest('workers at once, some terminated, while this thread runs machines too', async (t) => {
  using spinning = machine(guests.spin)
  const run = spinning.run()
  const doomed = ['run, spinning', 'runSync, spinning', 'run, a device asked all the time']
  const living = Array(3).fill('finishes its runs')
  const workers = await Promise.all([...doomed, ...living].map(begin))
  for (const { worker } of workers.slice(0, 3)) t.is(await worker.terminate(), 1)
  for (const begun of workers.slice(3)) {
    t.deepEqual(await heard(begun, 2), ['ready', Array(10).fill('Hello, world!\n')])
    t.is(await begun.exitCode, 0)
  }
  t.true(spinning.running)
  spinning.stop()
  t.is((await run).reason, 'stopped')
  spinning.close()
  await assertClean(t)
})
