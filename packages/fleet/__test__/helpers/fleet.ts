// A fleet in this process: workers whose jobs are functions of the test.
import type { ExecutionContext } from 'ava'

import type { Labels } from '../../src/engines/queue/hosts.ts'
import { type Jobs, type MapOptions, map } from '../../src/index.ts'
import type { Job, Result } from '../../src/job/job.ts'
import type { Outcome } from '../../src/job/outcome.ts'
import type { AttemptOptions } from '../../src/child/children.ts'
import { Worker, type WorkerEvent, type WorkerOptions } from '../../src/worker/worker.ts'

export const able: Labels = {
  backend: 'kvm_pvm',
  modes: ['real', 'protected', 'long'],
  exitCostNs: 1000,
  modules: ['probe'],
}

export const done = { kind: 'done', value: 1, durationMs: 2, guestMs: 1 } satisfies Outcome

/** Starts a worker, which ends with the test. */
export async function startWorker(
  t: ExecutionContext,
  connection: string,
  run: (job: Job, attempt: AttemptOptions) => Promise<Outcome>,
  options: Partial<WorkerOptions> = {},
): Promise<{ worker: Worker; events: WorkerEvent[] }> {
  const events: WorkerEvent[] = []
  const worker = await Worker.start({
    ...{ connection, concurrency: 2, lockMs: 1_000, labels: able, name: 'a' },
    runner: { run, close: () => Promise.resolve() },
    onEvent: (event) => events.push(event),
    ...options,
  })
  t.teardown(() => worker.end())
  return { worker, events }
}

/** Jobs of the module `probe`. */
export function* probes(count: number, more: Partial<Job> = {}): Generator<Job> {
  for (let at = 0; at < count; at++) yield { id: `job:${at}`, module: 'probe', ...more }
}

/** A campaign of at most 16 jobs at a time. */
export function campaign(
  jobs: Jobs,
  connection: string,
  options: MapOptions = {},
): AsyncGenerator<Result> {
  return map(jobs, { connection, queue: 'test', concurrency: 16, ...options })
}

/** All of them. */
export async function all(results: AsyncIterable<Result>): Promise<Result[]> {
  const list: Result[] = []
  for await (const result of results) list.push(result)
  return list
}
