import { hostname } from 'node:os'

import { type Job as QueuedJob, Worker as QueueWorker } from 'bullmq'
import { UnrecoverableError, WaitingError } from 'bullmq'
import type { Redis } from 'ioredis'

import { type Carried, isCarried } from '../engines/queue/carried.ts'
import { connect } from '../engines/queue/connect.ts'
import {
  HEARTBEAT_MS,
  type Labels,
  type WorkerReport,
  forget,
  lackOf,
  report,
  workersOf,
} from '../engines/queue/hosts.ts'
import { defaultQueue, keys } from '../engines/queue/names.ts'
import { RedisShared } from '../engines/queue/shared.ts'
import { checkJob } from '../job/check.ts'
import type { Job, JobError, Result } from '../job/job.ts'
import { type Outcome, type OutcomeTimes, resultOf } from '../job/outcome.ts'
import { refuse } from './refusal.ts'
import type { Runner } from './runner.ts'

/** How often a job begins again after its worker was lost. */
const MAX_STALLED = 10

/** Milliseconds that an end at once takes to give its jobs back. */
const GIVE_BACK_MS = 1_000

/** What a worker is made of. */
export interface WorkerOptions {
  /** `redis://` or `rediss://`. */
  readonly connection: string
  readonly queue?: string | undefined
  /** Jobs at a time, each in a process of its own. */
  readonly concurrency: number
  /** The host's name in results and lists (default: what the kernel says). */
  readonly name?: string | undefined
  /** Milliseconds after which a job of a worker that is not heard of runs elsewhere. */
  readonly lockMs: number
  readonly labels: Labels
  readonly runner: Runner
  /** Told of what happens, a line each. */
  readonly onEvent?: ((event: WorkerEvent) => void) | undefined
}

/** Something that happened to a worker. */
export interface WorkerEvent {
  readonly event: 'began' | 'ended' | 'crashed' | 'refused' | 'cancelled' | 'trouble'
  readonly id?: string
  readonly message?: string
}

/** A job that runs. */
interface Running {
  readonly id: string
  readonly campaign: string
  readonly controller: AbortController
}

/** Why a running job is ended. */
type Cause = 'campaign ended' | 'lock lost' | 'worker ends'

/**
 * Takes jobs from a queue and runs each in a child process: this process renews locks and says that
 * it is there, and nothing in it may take long.
 */
export class Worker {
  readonly #options: WorkerOptions
  readonly #redis: Redis
  readonly #worker: QueueWorker
  readonly #queue: string
  readonly #host: string
  readonly #name: string
  readonly #running = new Map<string, Running>()
  readonly #totals = { done: 0, failed: 0, crashed: 0, busyMs: 0, guestMs: 0 }
  readonly #started = Date.now()
  readonly #timer: NodeJS.Timeout
  #state: WorkerReport['state'] = 'running'
  #closing: Promise<void> | undefined
  #isBeating = false

  private constructor(options: WorkerOptions, redis: Redis) {
    this.#options = options
    this.#redis = redis
    this.#queue = options.queue ?? defaultQueue
    this.#host = options.name ?? hostname()
    this.#name = `${this.#host}/${process.pid}`
    const { lockMs: lockDuration, concurrency } = options
    this.#worker = new QueueWorker(
      this.#queue,
      (job: QueuedJob<Carried>, token = '') => this.#process(job, token),
      {
        ...{ connection: redis, name: this.#name, concurrency, lockDuration },
        ...{ stalledInterval: lockDuration / 2, maxStalledCount: MAX_STALLED },
        // An end that Redis did not hear of is told again after this.
        runRetryDelay: 1_000,
      },
    )
    this.#worker.on('error', ({ message }) => this.#tell({ event: 'trouble', message }))
    this.#worker.on('failed', (job, error) => {
      // It is no result: a campaign of this name that goes on runs it again.
      if (error instanceof UnrecoverableError) job?.remove().catch(() => {})
    })
    this.#worker.on('lockRenewalFailed', (ids) => {
      for (const id of ids) this.#end(this.#running.get(id), 'lock lost')
    })
    this.#timer = setInterval(() => void this.#beat(), HEARTBEAT_MS)
  }

  /** Connects and begins; rejects with `ERR_TIMEOUT` when there is no Redis. */
  static async start(options: WorkerOptions): Promise<Worker> {
    const worker = new Worker(options, await connect(options.connection, '--redis'))
    await worker.#beat()
    return worker
  }

  /** How it is called in lists: the host's name and the process. */
  get name(): string {
    return this.#name
  }

  /** Takes nothing further, and resolves when what runs has ended. */
  drain(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  /** Ends at once: what runs is ended and goes back to the queue. */
  async end(): Promise<void> {
    const drained = this.drain()
    for (const running of this.#running.values()) this.#end(running, 'worker ends')
    await Promise.race([drained, new Promise((resolve) => setTimeout(resolve, GIVE_BACK_MS))])
    await this.#options.runner.close()
    this.#redis.disconnect()
  }

  async #close(): Promise<void> {
    this.#state = 'draining'
    void this.#beat()
    await this.#worker.close()
    clearInterval(this.#timer)
    await this.#options.runner.close()
    await forget(this.#redis, this.#queue, this.#name).catch(() => {})
    this.#redis.disconnect()
  }

  async #process(queued: QueuedJob<Carried>, token: string): Promise<Result> {
    const carried: unknown = queued.data
    if (!isCarried(carried)) return this.#unfit(queued, 'it is none of vmexit')
    let job: Job
    try {
      job = checkJob(carried.job)
    } catch (error) {
      return this.#unfit(queued, (error as Error).message)
    }
    const { campaign } = carried
    const lack = lackOf(job, this.#options.labels)
    if (lack) return this.#refuse(queued, token, { error: lack, durationMs: 0, guestMs: 0 })
    const running = { id: job.id, campaign, controller: new AbortController() }
    this.#running.set(queued.id ?? '', running)
    this.#tell({ event: 'began', id: job.id })
    try {
      const outcome = await this.#attempt(job, carried, running.controller.signal)
      if (outcome === undefined) return await this.#cancelled(queued, token, running)
      this.#totals.busyMs += outcome.durationMs
      this.#totals.guestMs += outcome.guestMs
      return await this.#answer(queued, token, outcome)
    } finally {
      this.#running.delete(queued.id ?? '')
    }
  }

  /** How an attempt has ended, unless the signal has ended it. */
  async #attempt(job: Job, carried: Carried, signal: AbortSignal): Promise<Outcome | undefined> {
    const { campaign, timeoutMs } = carried
    const shared = new RedisShared(this.#redis, this.#queue, campaign)
    try {
      return await this.#options.runner.run(job, { timeoutMs, signal, shared })
    } catch (error) {
      if (signal.aborted) return undefined
      throw error
    }
  }

  /** The result for the queue; throws when the job shall run again, which BullMQ then sees to. */
  #answer(queued: QueuedJob<Carried>, token: string, outcome: Outcome): Result | Promise<Result> {
    if (outcome.kind === 'lacking') return this.#refuse(queued, token, outcome)
    if (outcome.kind !== 'crashed') return this.#finish(queued, outcome)
    this.#totals.crashed++
    const { message } = outcome.error
    this.#tell({ event: 'crashed', id: queued.data.job.id, message })
    if (queued.attemptsMade + 1 >= (queued.opts.attempts ?? 1)) return this.#finish(queued, outcome)
    throw new Error(message)
  }

  async #cancelled(
    queued: QueuedJob<Carried>,
    token: string,
    { id, controller }: Running,
  ): Promise<never> {
    const cause = controller.signal.reason as Cause
    this.#tell({ event: 'cancelled', id, message: cause })
    if (cause === 'worker ends') {
      await queued.moveToWait(token)
      // BullMQ's word for: it is not in my hands any more.
      throw new WaitingError()
    }
    // With its lock lost, the queue does not listen, and another has it.
    throw new UnrecoverableError(cause)
  }

  #finish(queued: QueuedJob<Carried>, outcome: Outcome): Result {
    const { id } = queued.data.job
    this.#totals[outcome.kind === 'done' ? 'done' : 'failed']++
    const message = outcome.kind === 'done' ? {} : { message: outcome.error.message }
    this.#tell({ event: 'ended', id, ...message })
    const attempts = queued.attemptsMade + queued.stalledCounter + 1
    return { ...resultOf(id, outcome, attempts), host: this.#host }
  }

  async #refuse(
    queued: QueuedJob<Carried>,
    token: string,
    lacking: OutcomeTimes & { readonly error: JobError },
  ): Promise<Result> {
    const { id } = queued.data.job
    this.#tell({ event: 'refused', id, message: lacking.error.message })
    const own = { host: this.#host, name: this.#name, token }
    const workers = await workersOf(this.#redis, this.#queue)
    const error = await refuse(queued, lacking.error, own, workers)
    return this.#finish(queued, { ...lacking, kind: 'failed', error })
  }

  /** What is in the queue and cannot be a job of anyone. */
  #unfit(queued: QueuedJob, why: string): Result {
    this.#totals.failed++
    const id = typeof queued.id === 'string' ? queued.id : ''
    this.#tell({ event: 'ended', id, message: why })
    const error = { code: 'ERR_INVALID_OPTION', message: why }
    const outcome = { kind: 'failed', error, durationMs: 0, guestMs: 0 } as const
    return { ...resultOf(id, outcome, 1), host: this.#host }
  }

  #end(running: Running | undefined, cause: Cause): void {
    running?.controller.abort(cause)
  }

  /** Says that it is there, and asks whether what runs is still wanted. */
  async #beat(): Promise<void> {
    // One that waits for a broken connection is enough.
    if (this.#isBeating) return
    this.#isBeating = true
    try {
      await report(this.#redis, this.#queue, this.#report())
      const campaigns = [...new Set([...this.#running.values()].map(({ campaign }) => campaign))]
      if (campaigns.length === 0) return
      const ended = await this.#redis.mget(
        campaigns.map((campaign) => keys.ended(this.#queue, campaign)),
      )
      const over = new Set(campaigns.filter((_, at) => ended[at] !== null))
      for (const running of this.#running.values())
        if (over.has(running.campaign)) this.#end(running, 'campaign ended')
    } catch (error) {
      this.#tell({ event: 'trouble', message: (error as Error).message })
    } finally {
      this.#isBeating = false
    }
  }

  #report(): WorkerReport {
    const { labels, concurrency } = this.#options
    return {
      ...{ name: this.#name, host: this.#host, pid: process.pid, concurrency, labels },
      ...this.#totals,
      state: this.#state,
      running: [...this.#running.values()].map(({ id }) => id),
      uptimeMs: Date.now() - this.#started,
    }
  }

  #tell(event: WorkerEvent): void {
    this.#options.onEvent?.(event)
  }
}
