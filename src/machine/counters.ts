import type { ExitReason } from '../native/words.ts'
import { native } from '../native/native.ts'
import type { NativeFrameCounts, NativeMachine } from '../native/seam.ts'

/**
 * Accesses of one route; every repetition of a string instruction counts.
 *
 * @category Results
 */
export interface RouteCounters {
  /** Items that the guest read. */
  readonly reads: number
  /** Items that the guest wrote. */
  readonly writes: number
}

/**
 * Frames of one network card.
 *
 * @category Results
 */
export interface FrameCounters extends Readonly<NativeFrameCounts> {}

/**
 * What was counted since the machine was made.
 *
 * @category Results
 */
export interface Counters {
  /** VM exits by reason; a reason that did not come is 0. */
  readonly exits: Readonly<Record<ExitReason, number>>
  /**
   * Accesses by route: those of the options in their order, then those that are attached, oldest
   * first.
   */
  readonly routes: readonly RouteCounters[]
  /** Times that the vCPU waited because the ring of a `queue` or `coalesce` route was full. */
  readonly ringWaits: number
  /** Entries into the guest that a kick interrupted: a stop, a time-out, or a look around. */
  readonly kicks: number
  /** Milliseconds inside `KVM_RUN`, of those runs that had the option `timeKvmRun`. */
  readonly kvmRunMs: number
  /** Frames of the network cards, in the order of the options. */
  readonly network: readonly FrameCounters[]
  /** Doorbells rung in this thread, for all machines together. */
  readonly doorbells: number
}

/** Reads them. */
export function readCounters(machine: NativeMachine): Counters {
  const { exits, routes, ...rest } = machine.counters()
  const byReason = Object.fromEntries(exits.map(({ reason, count }) => [reason, count]))
  return {
    exits: byReason as Counters['exits'],
    routes: routes.map(({ reads, writes }) => ({ reads, writes })),
    ...rest,
    doorbells: native.doorbells(),
  }
}

/** Reads those of one route, while it is there. */
export function readRouteCounters(machine: NativeMachine, id: number): RouteCounters | undefined {
  const found = machine.counters().routes.find(({ route }) => route === id)
  return found && { reads: found.reads, writes: found.writes }
}
