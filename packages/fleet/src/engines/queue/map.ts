import type { Job, Result } from '../../job/job.ts'
import type { CheckedMap } from '../options.ts'
import { type Jobs, Source } from '../source.ts'
import { Campaign } from './campaign.ts'
import { defaultQueue, defaultWindow } from './names.ts'

/**
 * Jobs through the queue, to workers anywhere; results in the order of their ends, each id once.
 * Jobs are asked for as there is room, so that however many there are, few are in memory.
 */
export async function* mapOverQueue(jobs: Jobs, options: CheckedMap): AsyncGenerator<Result, void> {
  const { signal, connection = '', queue = defaultQueue, campaign: name } = options
  const { concurrency: window = defaultWindow, attempts, timeoutMs, store, ownsStore } = options
  signal?.throwIfAborted()
  // Workers have stores of their own.
  if (ownsStore) await store?.close()
  const own = { connection, queue, campaign: name, window, attempts, timeoutMs }
  const campaign = await Campaign.open(own)
  const feed = new Feed(jobs, campaign)
  const wake = (): void => campaign.wake()
  signal?.addEventListener('abort', wake)
  const totals = { done: 0, failed: 0, guestMs: 0 }
  const began = performance.now()
  const tell = (): void => {
    const { running, children } = campaign.fleet
    const elapsedMs = performance.now() - began
    options.onProgress?.({ taken: feed.taken, ...totals, running, children, elapsedMs })
  }
  try {
    feed.start(tell)
    for (;;) {
      signal?.throwIfAborted()
      const result = campaign.take()
      if (result === undefined) {
        if (feed.isFinished() && campaign.out === 0 && campaign.ready === 0) return
        await campaign.change()
        continue
      }
      totals[result.status]++
      totals.guestMs += result.guestMs
      tell()
      feed.settle(result.id)
      yield result
    }
  } finally {
    signal?.removeEventListener('abort', wake)
    await feed.stop()
    await campaign.close()
  }
}

/** Takes jobs from the caller and adds them, as long as there is room. */
class Feed {
  readonly #source: Source
  readonly #campaign: Campaign
  #state: 'feeding' | 'finished' | 'stopped' = 'feeding'
  #isTaking = false
  #failure: { readonly error: unknown } | undefined
  #room: () => void = () => {}

  constructor(jobs: Jobs, campaign: Campaign) {
    this.#source = new Source(jobs)
    this.#campaign = campaign
  }

  /** How many jobs were taken. */
  get taken(): number {
    return this.#source.taken
  }

  /** Whether all jobs are added; throws what the caller's jobs threw. */
  isFinished(): boolean {
    if (this.#failure !== undefined) throw this.#failure.error
    return this.#state !== 'feeding'
  }

  start(tell: () => void): void {
    this.#run(tell).catch((error: unknown) => {
      this.#failure = { error }
      this.#campaign.wake()
    })
  }

  /** A job has its result, which was taken. */
  settle(id: string): void {
    this.#source.settle(id)
    this.#room()
  }

  /** Ends, and lets the caller's generator end, unless it is just making a job. */
  async stop(): Promise<void> {
    const isOpen = this.#state === 'feeding' && this.#failure === undefined
    this.#state = 'stopped'
    this.#room()
    if (isOpen && !this.#isTaking) await this.#source.close()
  }

  async #run(tell: () => void): Promise<void> {
    for (;;) {
      while (!this.#campaign.hasRoom && this.#state === 'feeding') await this.#waitForRoom()
      if (this.#state !== 'feeding') return
      const job = await this.#take()
      if (this.#state !== 'feeding') return
      if (job === undefined) break
      await this.#campaign.add(job)
      tell()
    }
    this.#state = 'finished'
    this.#campaign.wake()
  }

  async #take(): Promise<Job | undefined> {
    this.#isTaking = true
    try {
      return await this.#source.next()
    } finally {
      this.#isTaking = false
    }
  }

  async #waitForRoom(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#room = resolve
    })
  }
}
