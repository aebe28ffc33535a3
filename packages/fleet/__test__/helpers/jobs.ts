// Jobs of real machines, a store for them, and all of their results.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import type { ExecutionContext } from 'ava'

import {
  type Job,
  type MapOptions,
  type Result,
  type Store,
  folderStore,
  map,
} from '../../src/index.ts'

/** Job modules of these tests. */
export const modules = new URL('../fixtures/modules', import.meta.url).pathname

/** The embedded guest that prints a line and stores 42 in RAX. */
export const hello = {
  mode: 'long',
  payload: { guest: 'hello' },
  routes: [{ port: 0xe9, to: 'console' }],
} as const

/** An endless loop. */
export const spin = { mode: 'real', payload: { guest: 'spin' } } as const

/** What a test has: a store, and options that keep all files in a folder of its own. */
export interface Place {
  readonly folder: string
  readonly store: Store
  readonly options: MapOptions
}

/** A place that the end of the test removes. */
export function place(t: ExecutionContext): Place {
  const folder = mkdtempSync(join(tmpdir(), 'vmexit-fleet-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  const store = folderStore(join(folder, 'store'))
  // It ends what hangs.
  const timeoutMs = 300_000
  const options = { store, cache: join(folder, 'cache'), modules, concurrency: 2, timeoutMs }
  return { folder, store, options }
}

/** All results by their ids, of which each comes once. */
export async function results(
  t: ExecutionContext,
  jobs: Iterable<Job> | AsyncIterable<Job>,
  options: MapOptions,
): Promise<Record<string, Result>> {
  const found: Record<string, Result> = {}
  for await (const result of map(jobs, options)) {
    t.false(Object.hasOwn(found, result.id), result.id)
    found[result.id] = result
  }
  return found
}

/** The only result. */
export async function resultOf(
  t: ExecutionContext,
  job: Job,
  options: MapOptions,
): Promise<Result> {
  const { [job.id]: result } = await results(t, [job], options)
  return result!
}
