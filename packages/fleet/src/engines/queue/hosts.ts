import type { Redis } from 'ioredis'

import type { Job, JobError } from '../../job/job.ts'
import { keys } from './names.ts'

/** Milliseconds between two words of a worker. */
export const HEARTBEAT_MS = 1_000

/** Milliseconds after which a worker that says nothing is thought gone. */
const GONE_MS = 10_000

/** What a host can do. */
export interface Labels {
  /** The kernel module that is KVM there; `none` without a usable `/dev/kvm`. */
  readonly backend: string
  /** CPU modes that it runs. */
  readonly modes: readonly string[]
  /** Nanoseconds that an exit costs; `null` where it could not be measured. */
  readonly exitCostNs: number | null
  /** Names of the job modules that its owner has installed. */
  readonly modules: readonly string[]
}

/** What a worker says of itself. */
export interface WorkerReport {
  /** `NAME/PID`, which no other worker of this queue has. */
  readonly name: string
  readonly host: string
  readonly pid: number
  readonly concurrency: number
  /** `draining` finishes what it has begun and takes nothing further. */
  readonly state: 'running' | 'draining'
  readonly labels: Labels
  /** Ids of jobs that run. */
  readonly running: readonly string[]
  /** Jobs that it has finished, with and without a value. */
  readonly done: number
  readonly failed: number
  /** Times that a job's child process died. */
  readonly crashed: number
  /** Milliseconds of its children that ran jobs, and of these those that ran guests. */
  readonly busyMs: number
  readonly guestMs: number
  /** Milliseconds since it started. */
  readonly uptimeMs: number
}

/** Says what a worker is; it is forgotten when it says nothing for ten seconds. */
export async function report(redis: Redis, queue: string, told: WorkerReport): Promise<void> {
  const set = ['PX', GONE_MS] as const
  await redis
    .multi()
    .set(keys.worker(queue, told.name), JSON.stringify(told), ...set)
    .sadd(keys.workers(queue), told.name)
    .exec()
}

/** A worker has gone. */
export async function forget(redis: Redis, queue: string, name: string): Promise<void> {
  await redis.multi().del(keys.worker(queue, name)).srem(keys.workers(queue), name).exec()
}

/** The workers of a queue that were heard of in the last ten seconds. */
export async function workersOf(redis: Redis, queue: string): Promise<WorkerReport[]> {
  const names = await redis.smembers(keys.workers(queue))
  if (names.length === 0) return []
  const texts = await redis.mget(names.map((name) => keys.worker(queue, name)))
  const gone = names.filter((_, at) => texts[at] === null)
  if (gone.length > 0) await redis.srem(keys.workers(queue), ...gone)
  return texts
    .filter((text) => typeof text === 'string')
    .map((text) => JSON.parse(text) as WorkerReport)
    .toSorted((one, other) => (one.name < other.name ? -1 : 1))
}

/** What a job asks for that a host lacks; `undefined` when it lacks nothing. */
export function lackOf(job: Job, labels: Labels): JobError | undefined {
  const { needs: { backend, modes = [] } = {}, module } = job
  const isMachine = [job.definition, job.snapshot, job.native].some((part) => part !== undefined)
  if (isMachine && labels.backend === 'none')
    return { code: 'ERR_KVM_UNAVAILABLE', message: 'this host has no usable /dev/kvm' }
  if (backend !== undefined && backend !== labels.backend)
    return unavailable(`the job needs ${backend}, this host has ${labels.backend}`)
  const missing = modes.filter((mode) => !labels.modes.includes(mode))
  if (missing.length > 0) return unavailable(`this host does not run ${missing.join(', ')}`)
  if (module !== undefined && !labels.modules.includes(module))
    return { code: 'ERR_HANDLER', message: `no module '${module}' is installed here` }
  return undefined
}

function unavailable(message: string): JobError {
  return { code: 'ERR_KVM_CAPABILITY', message }
}
