import { checkJob } from '../job/check.ts'
import { fleetError } from '../job/error.ts'
import type { Job } from '../job/job.ts'

/**
 * Jobs as `map` is given them.
 *
 * @category Fleet
 */
export type Jobs = Iterable<Job> | AsyncIterable<Job>

/** Takes jobs one by one, and checks each; a generator makes no more than are taken. */
export class Source {
  readonly #iterator: Iterator<Job> | AsyncIterator<Job>
  /** Ids of jobs that are under way. */
  readonly #ids = new Set<string>()
  /** How many were taken. */
  taken = 0

  constructor(jobs: Jobs) {
    const made = iteratorOf(jobs)
    if (!made) throw fleetError('ERR_INVALID_OPTION', 'jobs must be an iterable, or an async one')
    this.#iterator = made
  }

  /** The next job; `undefined` after the last one. Calls must not overlap. */
  async next(): Promise<Job | undefined> {
    const { done, value } = await this.#iterator.next()
    if (done) return undefined
    const job = checkJob(value)
    if (this.#ids.has(job.id))
      throw fleetError('ERR_INVALID_OPTION', `two jobs have the id '${job.id}'`)
    this.#ids.add(job.id)
    this.taken += 1
    return job
  }

  /** A job has its result. */
  settle(id: string): void {
    this.#ids.delete(id)
  }

  /** No more jobs are wanted. */
  async close(): Promise<void> {
    await this.#iterator.return?.()
  }
}

function iteratorOf(jobs: Jobs): Iterator<Job> | AsyncIterator<Job> | undefined {
  if (typeof jobs !== 'object' || jobs === null) return undefined
  if (Symbol.asyncIterator in jobs) return jobs[Symbol.asyncIterator]()
  return Symbol.iterator in jobs ? jobs[Symbol.iterator]() : undefined
}
