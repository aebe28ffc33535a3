import type { Job, JobError, JsonValue } from '../job/job.ts'

/** What a child is given to do. */
export interface Assignment {
  readonly type: 'run'
  readonly job: Job
  /** Where the content is that the job names, by hash. */
  readonly paths: Readonly<Record<string, string>>
  /** For the run itself; the process is ended a little later. */
  readonly timeoutMs: number
  /** The folder of job modules. */
  readonly modules?: string | undefined
}

/** The answer to an `Ask`. */
export interface Answer {
  readonly type: 'answer'
  readonly call: number
  readonly value?: unknown
  readonly error?: JobError
}

/** How a job has ended in the child. */
export interface Ended {
  readonly type: 'ended'
  readonly kind: 'done' | 'failed' | 'lacking'
  readonly value?: JsonValue
  readonly error?: JobError
  readonly guestMs: number
}

/** What only the parent can do: it has the store, and what jobs share. */
export interface Ask {
  readonly type: 'ask'
  readonly call: number
  readonly what: 'put' | 'path' | 'get' | 'set' | 'add'
  readonly key: string
  readonly value?: unknown
}

/** What a module has to say meanwhile. */
interface Said {
  readonly type: 'progress'
  readonly value: JsonValue
}

/** From the parent to the child. */
export type Down = Assignment | Answer

/** It can take a job. */
interface Ready {
  readonly type: 'ready'
}

/** From the child to the parent. */
export type Up = Ready | Ended | Ask | Said

/** Characters of JSON that a value may have. */
export const mostValue = 16 << 20
