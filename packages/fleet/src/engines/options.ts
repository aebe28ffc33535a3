import { availableParallelism } from 'node:os'
import { resolve } from 'node:path'
import { inspect } from 'node:util'

import { fleetError } from '../job/error.ts'
import type { Progress } from '../job/progress.ts'
import { type Store, storeOf } from '../store/index.ts'

/**
 * Options of `map`.
 *
 * @category Fleet
 */
export interface MapOptions {
  /**
   * Where Redis is, `redis://` or `rediss://`: jobs run on the hosts that have workers there.
   * Without it they run on this host alone, in child processes.
   */
  readonly connection?: string
  /** The name of the queue, default `vmexit`; with `connection` only. */
  readonly queue?: string
  /**
   * The name of these jobs together, with `connection` only. After the end of this process,
   * whatever ended it, a `map` of the same name goes on: what is done is not done again, as long as
   * it is among the last 10,000 results of the queue. Without a name, jobs are new, whatever
   * their ids.
   */
  readonly campaign?: string
  /**
   * Jobs that are under way at the same time: here one for each processor, which is the default; in
   * the queue those that wait or run, default 1,000.
   */
  readonly concurrency?: number
  /** Milliseconds for one attempt of a job that does not say it, default 60,000. */
  readonly timeoutMs?: number
  /** Aborting it ends what runs, and the iteration throws its reason. */
  readonly signal?: AbortSignal
  /** How often a job is begun whose process dies or does not end, default 3. */
  readonly attempts?: number
  /** Where images are: a store, the path of a folder, or an `http:` or `redis:` URL. */
  readonly store?: Store | string
  /** The folder of job modules, for jobs that run here; workers have their own. */
  readonly modules?: string
  /** The folder where this host keeps content, default `~/.cache/vmexit/fleet`. */
  readonly cache?: string
  /** Bytes that the cache keeps, default 8 GiB. */
  readonly cacheBytes?: number
  /** Called when something has changed. */
  readonly onProgress?: (progress: Progress) => void
}

/** The same, checked. */
export interface CheckedMap extends Omit<MapOptions, 'store'> {
  readonly attempts: number
  readonly timeoutMs: number
  /** Of the local engine; that of the queue has a default of its own. */
  readonly children: number
  readonly store: Store | undefined
  /** Whether `store` was made here, and is to be closed. */
  readonly ownsStore: boolean
}

const known = [
  ...['connection', 'queue', 'campaign', 'concurrency', 'timeoutMs', 'signal', 'attempts', 'store'],
  ...['modules', 'cache', 'cacheBytes', 'onProgress'],
]

function wrong(option: string, wanted: string, value: unknown): never {
  const got = inspect(value, { depth: 0, maxStringLength: 80 })
  throw fleetError('ERR_INVALID_OPTION', `${option} must be ${wanted}, got ${got}`)
}

const isObject = (value: unknown): value is object => typeof value === 'object' && value !== null

/** What may name a queue or a campaign. */
function checkName(option: string, value: unknown): void {
  if (value === undefined || (typeof value === 'string' && /^[A-Za-z0-9._-]{1,64}$/.test(value)))
    return
  wrong(option, '1 to 64 of A-Z a-z 0-9 . _ -', value)
}

function whole(name: string, value: unknown, most: number): void {
  const fits = Number.isSafeInteger(value) && Number(value) >= 1 && Number(value) <= most
  if (value !== undefined && !fits) wrong(name, `a whole number from 1 to ${most}`, value)
}

function folder(name: string, value: unknown): void {
  if (value !== undefined && typeof value !== 'string') wrong(name, 'the path of a folder', value)
}

function checkTypes({ store, modules, cache, signal, onProgress }: MapOptions): void {
  folder('modules', modules)
  folder('cache', cache)
  if (store !== undefined && typeof store !== 'string' && !isObject(store))
    wrong('store', 'a store, the path of a folder, or a URL', store)
  if (signal !== undefined && !(isObject(signal) && 'aborted' in signal))
    wrong('signal', 'an AbortSignal', signal)
  if (onProgress !== undefined && typeof onProgress !== 'function')
    wrong('onProgress', 'a function', onProgress)
}

/** Checks what `map` was given. */
export function checkMapOptions(options: MapOptions): CheckedMap {
  if (!isObject(options) || Array.isArray(options)) wrong('options', 'an object', options)
  for (const key of Object.keys(options))
    if (!known.includes(key))
      throw fleetError('ERR_INVALID_OPTION', `${key} is no option; they are ${known.join(', ')}`)
  const { store, modules, concurrency, attempts = 3, timeoutMs = 60_000, ...rest } = options
  checkTypes(options)
  checkName('queue', rest.queue)
  checkName('campaign', rest.campaign)
  whole('concurrency', concurrency, 100_000)
  whole('attempts', attempts, 1000)
  whole('timeoutMs', timeoutMs, 86_400_000)
  whole('cacheBytes', rest.cacheBytes, Number.MAX_SAFE_INTEGER)
  return {
    ...rest,
    ...(concurrency !== undefined && { concurrency }),
    ...(modules !== undefined && { modules: resolve(modules) }),
    attempts,
    timeoutMs,
    children: concurrency ?? availableParallelism(),
    store: store === undefined ? undefined : storeOf(store),
    ownsStore: typeof store === 'string',
  }
}
