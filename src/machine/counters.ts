import type { ExitReason } from '../native/words.ts'
import { native } from '../native/native.ts'
import type { NativeMachine } from '../native/seam.ts'

/** What was counted since the machine was made. */
export interface Counters {
  /** VM exits by reason; a reason that did not come is 0. */
  readonly exits: Readonly<Record<ExitReason, number>>
  /** Accesses by route, in the order of the options; every repetition of a string instruction counts. */
  readonly routes: readonly {
    /** Items that the guest read. */
    readonly reads: number
    /** Items that the guest wrote. */
    readonly writes: number
  }[]
  /** Times that the vCPU waited because the ring of a `queue` or `coalesce` route was full. */
  readonly ringWaits: number
  /** Entries into the guest that a kick interrupted: a stop, a time-out, or a look around. */
  readonly kicks: number
  /** Milliseconds inside `KVM_RUN`, of those runs that had the option `timeKvmRun`. */
  readonly kvmRunMs: number
  /** Doorbells rung in this thread, for all machines together. */
  readonly doorbells: number
}

/** Reads them; `routes` are the caller's own. */
export function readCounters(machine: NativeMachine, routes: number): Counters {
  const { exits, routes: all, ...rest } = machine.counters()
  const byReason = Object.fromEntries(exits.map(({ reason, count }) => [reason, count]))
  return {
    exits: byReason as Counters['exits'],
    routes: all.slice(0, routes),
    ...rest,
    doorbells: native.doorbells(),
  }
}
