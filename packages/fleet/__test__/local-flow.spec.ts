// How jobs flow: back-pressure, the order of results, cancelling, and memory.
import { setTimeout as sleep } from 'node:timers/promises'

import test from 'ava'

import { map } from '../src/index.ts'
import type { Job } from '../src/job/job.ts'
import type { Progress } from '../src/job/progress.ts'
import { place, results } from './helpers/jobs.ts'

const collect = (globalThis as { gc?: () => void }).gc

/** Jobs without end, and how many were made. */
function endless(): { jobs: Generator<Job>; made: () => number; closed: () => boolean } {
  let made = 0
  let isClosed = false
  function* jobs(): Generator<Job> {
    try {
      for (;;) yield { id: `j${(made += 1)}`, module: 'echo', input: made }
    } finally {
      isClosed = true
    }
  }
  return { jobs: jobs(), made: () => made, closed: () => isClosed }
}

/** Whether a process is there. */
function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

test('no more jobs are made than are needed, and memory stays flat', async (t) => {
  const { options } = place(t)
  const { jobs, made, closed } = endless()
  const heaps: number[] = []
  let taken = 0
  for await (const { status } of map(jobs, options)) {
    t.is(status, 'done')
    taken += 1
    // Running, waiting to be taken, and the one that waits for a child.
    if (made() - taken > 7) t.fail(`${made()} jobs were made for ${taken} results`)
    if (taken % 1000 === 0) {
      collect?.()
      heaps.push(process.memoryUsage().heapUsed)
    }
    if (taken === 3000) break
  }
  t.true(closed())
  // Of 2,000 more jobs nothing stays: were it only their ids, it would be more.
  const [first, , last] = heaps as [number, number, number]
  t.true(last - first < 400_000, `${heaps.join(', ')} bytes`)
})

test('a slow reader makes the jobs wait', async (t) => {
  const { options } = place(t)
  const { jobs, made } = endless()
  const running = map(jobs, options)
  await running.next()
  await sleep(500)
  t.true(made() <= 8, `${made()} jobs were made for one result`)
  await running.return()
})

test('results come as they are ready, and a slow generator does not hold them', async (t) => {
  const { options } = place(t)
  async function* jobs(): AsyncGenerator<Job> {
    yield { id: 'slow', module: 'hang', limits: { timeoutMs: 600_000 } }
    yield { id: 'quick', module: 'echo' }
    await new Promise(() => undefined)
  }
  const running = map(jobs(), options)
  const { value } = await running.next()
  t.is(value?.id, 'quick')
  await running.return()
})

test('cancelling ends the children, and throws the reason', async (t) => {
  const { options } = place(t)
  const stop = new AbortController()
  const pids: number[] = []
  const jobs: Job[] = [
    { id: 'echo', module: 'echo' },
    ...['a', 'b'].map((id) => ({ id, module: 'hang', limits: { timeoutMs: 600_000 } })),
  ]
  const reason = new Error('enough')
  let hanging = 0
  const onProgress = ({ job }: Progress): void => {
    if (job && (hanging += 1) === 2) stop.abort(reason)
  }
  const run = async (): Promise<void> => {
    for await (const { value } of map(jobs, { ...options, signal: stop.signal, onProgress }))
      pids.push((value as unknown as { pid: number }).pid)
  }
  t.is(await t.throwsAsync(run()), reason)
  t.is(pids.length, 1)
  t.false(isAlive(pids[0]!))
  // Aborted before it begins.
  const none = map([{ id: 'a', module: 'echo' }], { ...options, signal: stop.signal })
  t.is(await t.throwsAsync(none.next()), reason)
})

test('leaving the loop ends what runs', async (t) => {
  const { options } = place(t)
  const { jobs, closed } = endless()
  let pid = 0
  for await (const { value } of map(jobs, options)) {
    ;({ pid } = value as unknown as { pid: number })
    break
  }
  t.true(closed())
  t.false(isAlive(pid))
})

test('what the generator throws, and what onProgress throws, ends it', async (t) => {
  const { options } = place(t)
  function* jobs(): Generator<Job> {
    yield { id: 'a', module: 'echo' }
    throw new RangeError('no more')
  }
  await t.throwsAsync(results(t, jobs(), options), { instanceOf: RangeError, message: 'no more' })
  const onProgress = (): never => {
    throw new TypeError('not this')
  }
  const job = { id: 'a', module: 'echo' }
  await t.throwsAsync(results(t, [job], { ...options, onProgress }), { message: 'not this' })
})

test('progress counts', async (t) => {
  const { options } = place(t)
  const seen: Progress[] = []
  const jobs = [
    ...['a', 'b', 'c'].map((id) => ({ id, module: 'echo' })),
    { id: 'd', module: 'wrong', input: 'throw' },
  ]
  await results(t, jobs, { ...options, onProgress: (progress) => seen.push(progress) })
  t.like(seen.at(-1), { taken: 4, done: 3, failed: 1, running: 0, children: 2 })
  t.true(seen.every(({ running }) => running <= 2))
})

test('a child serves one job after the other', async (t) => {
  const { options } = place(t)
  const jobs = Array.from({ length: 20 }, (_, index) => ({ id: `j${index}`, module: 'echo' }))
  const found = await results(t, jobs, options)
  const pids = Object.values(found).map(({ value }) => (value as unknown as { pid: number }).pid)
  t.true(new Set(pids).size <= 2)
})
