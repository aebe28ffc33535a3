import type { JsonValue } from './job.ts'

/**
 * What a module has said of its job.
 *
 * @category Fleet
 */
export interface JobProgress {
  /** The job's. */
  readonly id: string
  /** As the module gave it. */
  readonly value: JsonValue
}

/**
 * How far a `map` is.
 *
 * @category Fleet
 */
export interface Progress {
  /** Jobs that were taken from what `map` was given. */
  readonly taken: number
  /** Jobs with a value. */
  readonly done: number
  /** Jobs without one. */
  readonly failed: number
  /** Attempts that are under way. */
  readonly running: number
  /** Child processes that can run at the same time. */
  readonly children: number
  /** Since the beginning, in milliseconds. */
  readonly elapsedMs: number
  /** In runs of machines and programs, of all attempts together. */
  readonly guestMs: number
  /** What a job's module has said by `progress()`; only when it has. */
  readonly job?: JobProgress
}
