import { randomUUID } from 'node:crypto'

import { Queue, QueueEvents } from 'bullmq'
import type { Redis } from 'ioredis'

import { fleetError } from '../../job/error.ts'
import type { Job, Result } from '../../job/job.ts'
import { type Carried, isResult, resultOf } from './carried.ts'
import { connect } from './connect.ts'
import { workersOf } from './hosts.ts'
import { fromQueueId, keptResults, keys, queueId } from './names.ts'

/** Milliseconds between two looks at every job that is out, whatever events have told. */
const SWEEP_MS = 3_000

/** How many jobs one look asks for at a time. */
const BATCH = 64

/** Milliseconds that the end waits for a Redis that does not answer. */
const FAREWELL_MS = 3_000

/** Seconds for which workers are told that a campaign has ended. */
const ENDED_SECONDS = 3_600

/** What a campaign is made of. */
export interface CampaignOptions {
  readonly connection: string
  readonly queue: string
  /** Its name; a campaign without one is like no other. */
  readonly campaign?: string | undefined
  /** How many jobs are out at once. */
  readonly window: number
  readonly attempts: number
  readonly timeoutMs?: number | undefined
}

/** A job that is out. */
interface Out {
  readonly job: Job
  /** Whether Redis has it for all we know. */
  added: boolean
}

/**
 * The jobs of one `map` in the queue. A job is out from its adding until its result is read. Events
 * tell of results at once. They may be lost with a connection or with Redis, so every job that is
 * out is looked at now and then, too: what has ended is taken, what Redis has forgotten is added
 * again.
 */
export class Campaign {
  readonly name: string
  readonly #options: CampaignOptions
  readonly #redis: Redis
  readonly #heard: Redis
  readonly #queue: Queue
  readonly #events: QueueEvents
  readonly #out = new Map<string, Out>()
  readonly #ready: Result[] = []
  #timer: NodeJS.Timeout | undefined
  #fleet = { running: 0, children: 0 }
  #sweeping = false
  #closed = false
  #failure: Error | undefined
  /** Resolves a wait for a change. */
  #changed: () => void = () => {}

  private constructor(options: CampaignOptions, redis: Redis, heard: Redis) {
    this.name = options.campaign ?? randomUUID()
    this.#options = options
    this.#redis = redis
    this.#heard = heard
    this.#queue = new Queue(options.queue, { connection: redis })
    this.#events = new QueueEvents(options.queue, { connection: heard })
    // Connections come back by themselves; that they were lost is no failure.
    this.#queue.on('error', () => {})
    this.#events.on('error', () => {})
    this.#events.on('completed', ({ jobId, returnvalue }) => this.#told(jobId, returnvalue))
    this.#events.on('failed', ({ jobId }) => this.#told(jobId))
    redis.on('ready', () => void this.#sweep())
    this.#timer = setInterval(() => void this.#sweep(), SWEEP_MS)
  }

  /** Connects; rejects with `ERR_TIMEOUT` when there is no Redis. */
  static async open(options: CampaignOptions): Promise<Campaign> {
    const redis = await connect(options.connection)
    const heard = redis.duplicate()
    heard.on('error', () => {})
    const campaign = new Campaign(options, redis, heard)
    try {
      // A campaign that goes on has perhaps been ended before.
      await redis.del(keys.ended(options.queue, campaign.name))
      await campaign.#events.waitUntilReady()
      await campaign.#askWorkers()
    } catch (error) {
      await campaign.close()
      throw error
    }
    return campaign
  }

  /** What workers were doing when they were last asked, for whatever campaign. */
  get fleet(): { readonly running: number; readonly children: number } {
    return this.#fleet
  }

  /** How many jobs are out. */
  get out(): number {
    return this.#out.size
  }

  /** How many results wait to be taken. */
  get ready(): number {
    return this.#ready.length
  }

  /** Whether a further job may be added. */
  get hasRoom(): boolean {
    return this.#out.size + this.#ready.length < this.#options.window
  }

  /** Whether a job of this id is out. */
  has(id: string): boolean {
    return this.#out.has(id)
  }

  /** Adds a job, and resolves when Redis has it. */
  async add(job: Job): Promise<void> {
    const out = { job, added: false }
    this.#out.set(job.id, out)
    await this.#put(out)
    // One of an earlier run of this campaign may have ended already, of which no event tells.
    if (this.#options.campaign !== undefined) this.#look(job.id)
  }

  /** A result, or `undefined` when none waits. */
  take(): Result | undefined {
    const { error, ready } = { error: this.#failure, ready: this.#ready.shift() }
    if (ready === undefined && error !== undefined) throw error
    return ready
  }

  /** Resolves at the next change: a result, room, or a failure. */
  async change(): Promise<void> {
    if (this.#failure !== undefined) return
    await new Promise<void>((resolve) => {
      this.#changed = resolve
    })
  }

  /** Something outside has changed. */
  wake(): void {
    this.#changed()
  }

  /** Ends; jobs that are out are taken from the queue, and workers told to end those that run. */
  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    clearInterval(this.#timer)
    const farewell = this.#out.size > 0 ? this.#withdraw() : Promise.resolve()
    await Promise.race([farewell.catch(() => {}), pause(FAREWELL_MS)])
    // Closing waits for connections that may be broken; disconnecting does not.
    this.#events.close().catch(() => {})
    this.#queue.close().catch(() => {})
    this.#heard.disconnect()
    this.#redis.disconnect()
  }

  async #withdraw(): Promise<void> {
    const { queue } = this.#options
    const why = 'its map has ended'
    await this.#redis.set(keys.ended(queue, this.name), why, 'EX', ENDED_SECONDS)
    await Promise.allSettled([...this.#out.keys()].map((id) => this.#withdrawOne(id)))
  }

  /** One that has ended stays, so that the campaign can go on; one that runs its worker removes. */
  async #withdrawOne(id: string): Promise<void> {
    const queued = queueId(this.name, id)
    const state = await this.#queue.getJobState(queued)
    if (state === 'waiting' || state === 'delayed') await this.#queue.remove(queued)
  }

  async #put(out: Out): Promise<void> {
    const { attempts, timeoutMs } = this.#options
    const { job } = out
    const carried: Carried = {
      campaign: this.name,
      job,
      ...(timeoutMs !== undefined && { timeoutMs }),
    }
    out.added = false
    await this.#queue.add('job', carried, {
      // BullMQ adds nothing where this id is: each is in the queue once.
      jobId: queueId(this.name, job.id),
      attempts,
      removeOnComplete: { count: keptResults },
      removeOnFail: { count: keptResults },
      stackTraceLimit: 1,
    })
    out.added = true
  }

  /** An event has told that a job of some campaign has ended. */
  #told(queued: string, value?: unknown): void {
    const { campaign, id = '' } = fromQueueId(queued) ?? {}
    if (campaign !== this.name || !this.#out.has(id)) return
    if (isResult(value)) this.#settle(id, { ...value, id })
    else this.#look(id)
  }

  #settle(id: string, result: Result): void {
    // Whatever tells of it first: the result is handed out once.
    if (!this.#out.delete(id)) return
    this.#ready.push(result)
    this.#changed()
  }

  #look(id: string): void {
    this.#read(id).catch((error: unknown) => this.#fail(error))
  }

  async #read(id: string): Promise<void> {
    const out = this.#out.get(id)
    if (!out?.added || this.#closed) return
    const queued = queueId(this.name, id)
    const state = await this.#queue.getJobState(queued)
    if (this.#closed || !this.#out.has(id)) return
    // Redis came back without it, or its result was one of too many: it runs again.
    if (state === 'unknown') return this.#put(out)
    if (state !== 'completed' && state !== 'failed') return
    const result = resultOf((await this.#queue.getJob(queued)) ?? { id: queued })
    if (result !== undefined) this.#settle(id, result)
  }

  async #sweep(): Promise<void> {
    if (this.#sweeping || this.#closed || this.#out.size === 0) return
    this.#sweeping = true
    try {
      const why = await this.#redis.get(keys.ended(this.#options.queue, this.name))
      if (why !== null && !this.#closed)
        throw fleetError('ERR_LIMIT', `the campaign was ended from outside: ${why}`)
      await this.#askWorkers()
      const ids = [...this.#out.keys()]
      for (let at = 0; at < ids.length; at += BATCH) {
        await Promise.all(ids.slice(at, at + BATCH).map((id) => this.#read(id)))
      }
    } catch (error) {
      this.#fail(error)
    } finally {
      this.#sweeping = false
    }
  }

  async #askWorkers(): Promise<void> {
    const workers = await workersOf(this.#redis, this.#options.queue)
    this.#fleet = {
      running: workers.reduce((sum, { running }) => sum + running.length, 0),
      children: workers.reduce((sum, { concurrency }) => sum + concurrency, 0),
    }
  }

  #fail(error: unknown): void {
    if (this.#closed) return
    this.#failure ??= error as Error
    this.#changed()
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms).unref()
  })
}
