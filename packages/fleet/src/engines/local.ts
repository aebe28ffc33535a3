import { Children } from '../child/children.ts'
import type { Job, JsonValue, Result } from '../job/job.ts'
import { type Outcome, resultOf } from '../job/outcome.ts'
import { LocalShared } from '../job/shared.ts'
import { Cache } from '../store/cache.ts'
import type { CheckedMap } from './options.ts'
import { Source, type Jobs } from './source.ts'

/** Runs jobs on this host, in child processes; results come in the order of completion. */
export async function* mapLocal(jobs: Jobs, options: CheckedMap): AsyncGenerator<Result, void> {
  const campaign = new Campaign(jobs, options)
  try {
    for (let result = await campaign.next(); result; result = await campaign.next()) yield result
  } finally {
    await campaign.close()
  }
}

class Campaign {
  readonly #source: Source
  readonly #options: CheckedMap
  readonly #children: Children
  readonly #shared = new LocalShared()
  readonly #begun = performance.now()
  readonly #abort = new AbortController()
  readonly #signal: AbortSignal
  /** Results that wait to be taken; while there are many, no job is begun. */
  readonly #ready: Result[] = []
  #running = 0
  #isTaking = false
  #isExhausted = false
  #failure: { readonly error: unknown } | undefined
  #wake: (() => void) | undefined
  #counts = { done: 0, failed: 0, guestMs: 0 }

  constructor(jobs: Jobs, options: CheckedMap) {
    const { store, cache: folder, cacheBytes: maxBytes, modules, children: size, signal } = options
    this.#options = options
    this.#source = new Source(jobs)
    const cache = new Cache({ store, folder, maxBytes })
    this.#children = new Children({ size, modules, cache })
    this.#signal = signal ? AbortSignal.any([signal, this.#abort.signal]) : this.#abort.signal
    this.#signal.addEventListener('abort', () => this.#fail(this.#signal.reason), { once: true })
    if (this.#signal.aborted) this.#fail(this.#signal.reason)
  }

  /** The next result; `undefined` after the last one. */
  async next(): Promise<Result | undefined> {
    for (;;) {
      if (this.#failure) throw this.#failure.error
      const result = this.#ready.shift()
      void this.#take()
      if (result) return result
      if (this.#isExhausted && this.#running === 0) return undefined
      await new Promise<void>((resolve) => (this.#wake = resolve))
    }
  }

  /** Ends what runs. */
  async close(): Promise<void> {
    const { store, ownsStore } = this.#options
    this.#failure ??= { error: new Error('closed') }
    this.#abort.abort()
    await this.#children.close()
    if (!this.#isExhausted && !this.#isTaking) await this.#source.close()
    if (ownsStore) await store?.close()
  }

  /** Begins jobs as long as there are idle children, and the results are taken. */
  async #take(): Promise<void> {
    if (this.#isTaking) return
    this.#isTaking = true
    try {
      while (this.#hasRoom()) {
        const job = await this.#source.next()
        if (!job) this.#isExhausted = true
        else if (!this.#failure) void this.#run(job)
      }
    } catch (error) {
      this.#isExhausted = true
      this.#fail(error)
    } finally {
      this.#isTaking = false
      this.#wake?.()
    }
  }

  #hasRoom(): boolean {
    const { children } = this.#options
    const isOpen = !this.#isExhausted && !this.#failure
    return isOpen && this.#running < children && this.#ready.length < 2 * children
  }

  async #run(job: Job): Promise<void> {
    this.#running += 1
    this.#report()
    try {
      const { outcome, attempts } = await this.#attempts(job)
      this.#counts[outcome.kind === 'done' ? 'done' : 'failed'] += 1
      this.#ready.push(resultOf(job.id, outcome, attempts))
    } catch (error) {
      this.#fail(error)
    } finally {
      this.#running -= 1
      this.#source.settle(job.id)
      this.#report()
      void this.#take()
      this.#wake?.()
    }
  }

  async #attempts(job: Job): Promise<{ outcome: Outcome; attempts: number }> {
    const { attempts: most, timeoutMs } = this.#options
    for (let attempts = 1; ; attempts += 1) {
      const outcome = await this.#children.run(job, {
        timeoutMs,
        signal: this.#signal,
        shared: this.#shared,
        onProgress: (value) => this.#report({ id: job.id, value }),
      })
      this.#counts.guestMs += outcome.guestMs
      // There is no other host that may have what this one lacks.
      if (outcome.kind !== 'crashed' || attempts >= most) return { outcome, attempts }
    }
  }

  #report(job?: { readonly id: string; readonly value: JsonValue }): void {
    const { onProgress, children } = this.#options
    if (!onProgress || this.#failure) return
    try {
      onProgress({
        ...this.#counts,
        taken: this.#source.taken,
        running: this.#running,
        children,
        elapsedMs: performance.now() - this.#begun,
        ...(job && { job }),
      })
    } catch (error) {
      this.#fail(error)
    }
  }

  #fail(error: unknown): void {
    this.#failure ??= { error }
    this.#wake?.()
  }
}
