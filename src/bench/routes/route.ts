import type { Kind } from '../document.ts'
import type { RouteName } from '../route-names.ts'

/** One way of an exit, or of something else that costs time, ready to be measured. */
export interface BenchRoute {
  readonly name: RouteName
  readonly unit: string
  /** What the baseline does for it; null where C has nothing like it. */
  readonly kind: Kind | null
  /** What else of the baseline it is worth comparing with. */
  readonly others: readonly Kind[]
  /** What is measured as well, and taken off both sides to see what the route alone adds. */
  readonly without?: Without
  readonly about: string
  /** Units of which one time of `each` is the mean. */
  readonly unitsPerTime: number
  /** What one time of `each` is. */
  readonly timing: string
  /** Units that cost about as much as so many exits. */
  units(exits: number): number
  /** Fails where the build or the host has no such route. */
  probe(): void
  /** Nanoseconds for so many units. */
  total(units: number, signal: AbortSignal): Promise<number>
  /** Nanoseconds per unit, many times over. */
  each(units: number, signal: AbortSignal): Promise<readonly number[]>
}

/** A route's work without the part that it is about. */
export interface Without {
  /** The part that it is about. */
  readonly part: string
  readonly kind: Kind
  each(units: number, signal: AbortSignal): Promise<readonly number[]>
}

/** Ends a run that hangs; the slowest KVM needs seconds. */
export const timeoutMs = 120_000

/** Nanoseconds since a time of `process.hrtime.bigint()`. */
export function since(start: bigint): number {
  return Number(process.hrtime.bigint() - start)
}
