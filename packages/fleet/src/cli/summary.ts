import type { Progress } from '../job/progress.ts'
import { seconds } from './output.ts'

/** What a campaign came to. */
export interface Summary {
  readonly jobs: number
  readonly done: number
  readonly failed: number
  readonly elapsedMs: number
  /** Results a second. */
  readonly perSecond: number
  /** Of the time that the children had, the share that was spent in guests: 0 to 1. */
  readonly guestShare: number
}

/** Counts of it. */
export function summaryOf({ done, failed, elapsedMs, guestMs, children }: Progress): Summary {
  return {
    jobs: done + failed,
    done,
    failed,
    elapsedMs,
    perSecond: ((done + failed) / Math.max(elapsedMs, 1)) * 1000,
    guestShare: Math.min(1, guestMs / Math.max(elapsedMs * children, 1)),
  }
}

/** In one line. */
export function describeSummary(summary: Summary): string {
  const { jobs, done, failed, elapsedMs, perSecond, guestShare } = summary
  const rate = `${perSecond.toFixed(1)} a second, ${(guestShare * 100).toFixed(0)} % in guests`
  return `${jobs} jobs in ${seconds(elapsedMs)}: ${done} done, ${failed} failed, ${rate}`
}

/** How far it is. */
export function describeProgress(progress: Progress): string {
  const { running, taken } = progress
  return `${describeSummary(summaryOf(progress))}, ${running} of ${taken} under way`
}
