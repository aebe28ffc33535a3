/**
 * Runs jobs of vmexit in child processes: on this host, or on many that share a Redis server.
 *
 * @module @vmexit/fleet
 */
import { mapLocal } from './engines/local.ts'
import { type MapOptions, checkMapOptions } from './engines/options.ts'
import { mapOverQueue } from './engines/queue/map.ts'
import type { Jobs } from './engines/source.ts'
import type { Result } from './job/job.ts'

export type { JobContext, JobModule, ModuleStore } from './child/module.ts'
export type { MapOptions } from './engines/options.ts'
export type { Jobs } from './engines/source.ts'
export type {
  Hashed,
  Job,
  JobError,
  JobLimits,
  JobNeeds,
  JsonValue,
  NativeCall,
  NativeProgram,
  Result,
} from './job/job.ts'
export type { JobProgress, Progress } from './job/progress.ts'
export type { Shared } from './job/shared.ts'
export { type Store, folderStore, httpStore, redisStore } from './store/index.ts'

/**
 * Runs jobs, and gives their results in the order of completion, each id once. Jobs are taken from
 * a generator as there is room for them, so that a million of them need no memory. What the guest
 * does is a result; a job whose process dies is begun again, up to `attempts` times.
 *
 * Leaving the loop ends what runs. Ids must differ.
 *
 * @throws {VmError} `ERR_INVALID_OPTION` for options and jobs that are wrong, `ERR_LIMIT` for a job
 * that is too large; the reason of an aborted `signal`; what the generator throws.
 *
 * @example
 * ```ts
 * import { fleet } from '@vmexit/fleet'
 *
 * const routes = [{ port: 0xe9, to: 'console' as const }]
 * const definition = { mode: 'long' as const, payload: { guest: 'hello' }, routes }
 * for await (const { id, status } of fleet.map([{ id: 'one', definition }])) {
 *   console.log(id, status) // one done
 * }
 * ```
 *
 * @category Fleet
 */
export function map(jobs: Jobs, options: MapOptions = {}): AsyncGenerator<Result, void> {
  const checked = checkMapOptions(options)
  return checked.connection === undefined ? mapLocal(jobs, checked) : mapOverQueue(jobs, checked)
}

/**
 * {@link map} by the name that programs read well with.
 *
 * @category Fleet
 */
export const fleet = {
  /** As {@link map}. */
  map,
}
