import { checkJob } from '../../job/check.ts'
import type { Job, Result } from '../../job/job.ts'
import { Campaign, type CampaignOptions } from './campaign.ts'
import { fleetError } from '../../job/error.ts'

/** What `mapOverQueue` is told, every default filled in. */
export interface QueueOptions extends CampaignOptions {
  readonly signal?: AbortSignal | undefined
  /** Told after each job that is added and each result. */
  readonly onProgress?: ((progress: QueueProgress) => void) | undefined
}

/** How far a campaign is. */
export interface QueueProgress {
  /** Jobs that were taken from the caller. */
  readonly started: number
  /** Results so far, and how many of them failed. */
  readonly done: number
  readonly failed: number
}

/**
 * Jobs through the queue, to workers anywhere; results in the order in which they end, each id once.
 * Jobs are asked for as there is room, so that however many there are, few are in memory.
 */
export async function* mapOverQueue(
  jobs: Iterable<Job> | AsyncIterable<Job>,
  options: QueueOptions,
): AsyncGenerator<Result> {
  const { signal } = options
  signal?.throwIfAborted()
  const campaign = await Campaign.open(options)
  const feed = new Feed(jobs, campaign)
  const wake = (): void => campaign.wake()
  signal?.addEventListener('abort', wake)
  let [done, failed] = [0, 0]
  const tell = (): void =>
    options.onProgress?.({ started: feed.started, done, failed })
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
      done++
      if (result.status === 'failed') failed++
      tell()
      feed.wake()
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
  readonly #source: Iterator<Job> | AsyncIterator<Job>
  readonly #campaign: Campaign
  #started = 0
  #state: 'feeding' | 'finished' | 'stopped' = 'feeding'
  #failure: { readonly error: unknown } | undefined
  #room: () => void = () => {}

  constructor(
    jobs: Iterable<Job> | AsyncIterable<Job>,
    campaign: Campaign,
  ) {
    this.#source =
      Symbol.asyncIterator in jobs ? jobs[Symbol.asyncIterator]() : jobs[Symbol.iterator]()
    this.#campaign = campaign
  }

  get started(): number {
    return this.#started
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

  /** There may be room. */
  wake(): void {
    this.#room()
  }

  /** Ends, and lets the caller's generator end. */
  async stop(): Promise<void> {
    const isOpen = this.#state === 'feeding'
    this.#state = 'stopped'
    this.#room()
    if (!isOpen) return
    // A generator that awaits something ends after that, which may be never: no wait for it.
    void Promise.resolve(this.#source.return?.()).catch(() => {})
  }

  async #run(tell: () => void): Promise<void> {
    for (;;) {
      while (!this.#campaign.hasRoom && this.#state === 'feeding') await this.#waitForRoom()
      if (this.#state !== 'feeding') return
      const next = await this.#source.next()
      if (this.#state !== 'feeding') return
      if (next.done) break
      const job = checkJob(next.value)
      if (this.#campaign.has(job.id))
        throw fleetError('ERR_INVALID_OPTION', `jobs must have ids of their own, got '${job.id}' twice`)
      this.#started++
      await this.#campaign.add(job)
      tell()
    }
    this.#state = 'finished'
    this.#campaign.wake()
  }

  async #waitForRoom(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#room = resolve
    })
  }
}
