import { setTimeout as later } from 'node:timers'

import { fleetError, toJobError } from '../job/error.ts'
import { hashesOf } from '../job/images.ts'
import type { Job, JobError, JsonValue } from '../job/job.ts'
import type { Outcome } from '../job/outcome.ts'
import type { Shared } from '../job/shared.ts'
import type { Cache } from '../store/cache.ts'
import { hostFacts, lackOf } from './facts.ts'
import { Child, type Ears } from './process.ts'
import type { Ask, Ended } from './protocol.ts'

/** How children are made. */
export interface ChildrenOptions {
  /** How many of them run jobs at the same time. */
  readonly size: number
  /** The folder of job modules. */
  readonly modules?: string | undefined
  /** Where content comes from. */
  readonly cache: Cache
}

/** How one job is run. */
export interface AttemptOptions {
  /** For a job that says nothing of it, default 60,000. */
  readonly timeoutMs?: number | undefined
  /** Aborting it ends the child, and rejects with its reason. */
  readonly signal?: AbortSignal | undefined
  /** What the module says meanwhile. */
  readonly onProgress?: ((value: JsonValue) => void) | undefined
  /** What the module shares with others. */
  readonly shared: Shared
}

const defaultTimeoutMs = 60_000
/** After the time-out a run ends by itself, and says where the guest was. */
const graceMs = 2000
/** For a process to begin; its time is not the job's. */
const startMs = 60_000
/** Bytes that a module may put into the store at once. */
const mostContent = 64 << 20

/** Child processes, made as they are needed, each of which runs one job at a time. */
export class Children {
  readonly #options: ChildrenOptions
  readonly #idle: Child[] = []
  readonly #busy = new Set<Child>()
  readonly #queue: (() => void)[] = []
  #running = 0
  #isClosed = false

  constructor(options: ChildrenOptions) {
    this.#options = options
  }

  /** Their processes. */
  get pids(): number[] {
    return [...this.#busy, ...this.#idle].flatMap(({ pid }) => pid ?? [])
  }

  /** Runs a job, and says how it has ended. Rejects for nothing but an aborted signal. */
  async run(job: Job, options: AttemptOptions): Promise<Outcome> {
    await this.#enter()
    const begun = performance.now()
    let guestMs = 0
    try {
      options.signal?.throwIfAborted()
      const how = await this.#attempt(job, options)
      guestMs = how.guestMs
      const times = { durationMs: performance.now() - begun, guestMs }
      return how.kind === 'done'
        ? { kind: 'done', value: how.value ?? null, ...times }
        : { kind: how.kind, error: how.error ?? unknown, ...times }
    } catch (error) {
      if (options.signal?.aborted) throw options.signal.reason
      // The store's, as what a child does is no error here: another host may reach it.
      const durationMs = performance.now() - begun
      return { kind: 'lacking', error: toJobError(error), durationMs, guestMs }
    } finally {
      this.#leave()
    }
  }

  /** Ends them, and what they run. */
  async close(): Promise<void> {
    this.#isClosed = true
    await Promise.all([...this.#busy, ...this.#idle.splice(0)].map((child) => child.kill()))
  }

  async #enter(): Promise<void> {
    if (this.#running >= this.#options.size)
      await new Promise<void>((resolve) => this.#queue.push(resolve))
    this.#running += 1
  }

  #leave(): void {
    this.#running -= 1
    this.#queue.shift()?.()
  }

  async #attempt(job: Job, options: AttemptOptions): Promise<How> {
    const lack = job.needs && lackOf(job.needs, await hostFacts())
    if (lack !== undefined)
      return { kind: 'lacking', error: { code: 'ERR_KVM_CAPABILITY', message: lack }, guestMs: 0 }
    const use = (paths: Readonly<Record<string, string>>): Promise<How> =>
      this.#inChild(job, paths, options)
    return await this.#options.cache.using(hashesOf(job), use, options.signal)
  }

  async #inChild(
    job: Job,
    paths: Readonly<Record<string, string>>,
    options: AttemptOptions,
  ): Promise<How> {
    if (this.#isClosed) throw fleetError('ERR_VM_CLOSED', 'the children are closed')
    const timeoutMs = job.limits?.timeoutMs ?? options.timeoutMs ?? defaultTimeoutMs
    const child = this.#take()
    let ended: 'timeout' | 'abort' | undefined
    const end = (why: typeof ended) => (): void => {
      ended ??= why
      void child.kill()
    }
    const abort = end('abort')
    let timer = later(end('timeout'), startMs)
    options.signal?.addEventListener('abort', abort, { once: true })
    try {
      if (options.signal?.aborted) abort()
      await child.ready
      clearTimeout(timer)
      timer = later(end('timeout'), timeoutMs + graceMs)
      const { modules } = this.#options
      const assignment = { type: 'run', job, paths, timeoutMs, modules } as const
      const how = await child.run(assignment, this.#earsOf(job, options))
      if (how.type === 'ended') return how
      options.signal?.throwIfAborted()
      const error: JobError =
        ended === 'timeout'
          ? { code: 'ERR_TIMEOUT', message: `it ran for ${timeoutMs} ms, and did not end` }
          : { code: job.module === undefined ? 'ERR_INTERNAL' : 'ERR_HANDLER', ...how }
      return { kind: 'crashed', error: { code: error.code, message: error.message }, guestMs: 0 }
    } finally {
      clearTimeout(timer)
      options.signal?.removeEventListener('abort', abort)
      this.#give(child, ended === undefined)
    }
  }

  #take(): Child {
    let child = this.#idle.pop()
    while (child && !child.alive) child = this.#idle.pop()
    const taken = child ?? new Child()
    this.#busy.add(taken)
    return taken
  }

  #give(child: Child, isWell: boolean): void {
    this.#busy.delete(child)
    if (isWell && child.alive && !this.#isClosed) this.#idle.push(child)
    else void child.kill()
  }

  #earsOf(job: Job, { shared, signal, onProgress }: AttemptOptions): Ears {
    const { cache } = this.#options
    const ways: Record<Ask['what'], (key: string, value: unknown) => Promise<unknown>> = {
      path: (hash) => cache.path(hash, signal),
      put: (_, value) => putInto(cache, value),
      get: (key) => shared.get(key),
      set: (key, value) => shared.set(key, value as JsonValue),
      add: (key, value) => shared.add(key, value as JsonValue),
    }
    return {
      told: toJobError,
      progress: ({ value }) => onProgress?.(value),
      ask: ({ what, key, value }) => ways[what](key, value),
    }
  }
}

type How = Pick<Ended, 'value' | 'error' | 'guestMs'> & { readonly kind: Outcome['kind'] }

const unknown: JobError = { code: 'ERR_INTERNAL', message: 'the child did not say why' }

async function putInto({ store }: Cache, value: unknown): Promise<string> {
  if (!store) throw fleetError('ERR_INVALID_OPTION', 'there is no store')
  if (!(value instanceof Uint8Array))
    throw fleetError('ERR_INVALID_OPTION', 'content must be a Uint8Array')
  if (value.length > mostContent)
    throw fleetError('ERR_LIMIT', `at most ${mostContent} bytes at once`)
  return await store.put(value)
}
