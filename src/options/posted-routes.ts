import type { AccessSize } from '../results/exit.ts'
import type { WriteBatch } from '../results/write-batch.ts'
import { checkUint64 } from './check.ts'
import { invalid } from '../native/errors.ts'
import type { NativeRoute } from '../native/seam.ts'
import { type RouteKind, handler } from './route-kind.ts'
import { optional, required } from './shape.ts'

/**
 * Writes go into a ring of 4096 and nobody waits; a full ring makes the vCPU wait. `coalesce` lets the
 * kernel gather them without an exit (KVM API, `KVM_REGISTER_COALESCED_MMIO`), which delays them by up to
 * 20 ms while the guest makes no exit. Where the kernel would lose writes of several vCPUs, they exit nevertheless: `vmexit doctor`. `WriteBatch` has an example.
 */
export interface PostedTarget {
  /** Who gathers: Rust, behind an exit, or the kernel. */
  to: 'queue' | 'coalesce'
  /**
   * Gets the writes in order, none is lost, and before what the same vCPU asks later of a device, `onExit` or `onData`. While
   * a promise that it returns is open, further batches wait, and questions behind them: whoever waits here for a later question of the
   * guest waits until `timeoutMs` or `stop()`. At a run's end they wait no longer.
   */
  onBatch: (batch: WriteBatch) => unknown
  /** What reads give, 0 to 2^64 - 1; without it they are not claimed. */
  value?: number | bigint
  /** Only a device route has one. */
  device?: never
}

/** Which writes an `event` route counts: all to its port or address, or those of one value and size. */
export type EventMatch =
  | {
      /** Only writes of this value count, 0 to 2^64 - 1; the others are not claimed. */
      datamatch: number | bigint
      /** Bytes of such a write. */
      size: AccessSize
    }
  | {
      /** Goes with `size`. */
      datamatch?: undefined
      /** Goes with `datamatch`. */
      size?: undefined
    }

/**
 * The kernel counts writes to one port or address without an exit (KVM API, `KVM_IOEVENTFD`). Reads are not
 * claimed.
 *
 * @example
 * ```ts
 * let writes = 0
 * using vm = new VirtualMachine({
 *   mode: 'long',
 *   payload: guests.count,
 *   routes: [{ port: 0x200, to: 'event', onEvent: (count) => (writes += count) }],
 * })
 * vm.memory.writeUint32(0x500, 1000)
 * await vm.run()
 * console.log(writes) // 1000
 * ```
 */
export type EventTarget = EventMatch & {
  /** The kernel counts. */
  to: 'event'
  /**
   * Gets how many writes came since the last call, at least 1: soon after a lone one under `run()`, at the next exit or within 20 ms
   * under `runSync()`, and at the run's end. Order and promises are as for `onBatch`.
   */
  onEvent: (count: number) => unknown
  /** One port or address. */
  length?: 1
  /** Only a device route has one. */
  device?: never
}

const wide = (name: string, value: unknown): bigint => checkUint64(name, value, true)
const ring = { values: { value: optional(wide) }, handlers: { onBatch: required(handler) } }

/** The kinds for whose writes no vCPU waits. */
export const postedKinds = {
  queue: ring,
  coalesce: ring,
  event: {
    values: { datamatch: optional((_, value) => value), size: optional((_, value) => value) },
    handlers: { onEvent: required(handler) },
    together: checkMatch,
  },
} satisfies Record<string, RouteKind>

function checkMatch(
  name: string,
  route: Record<string, unknown>,
): Pick<NativeRoute, 'datamatch' | 'size'> {
  const { datamatch, size } = route
  if (datamatch === undefined && size === undefined) return {}
  if (size !== 1 && size !== 2 && size !== 4 && size !== 8) {
    return invalid(`${name}.size`, '1, 2, 4 or 8 with a datamatch', size)
  }
  return { datamatch: checkUint64(`${name}.datamatch`, datamatch, true), size }
}
