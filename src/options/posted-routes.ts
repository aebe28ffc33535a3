import type { AccessSize } from '../results/exit.ts'
import type { WriteBatch } from '../results/write-batch.ts'
import { checkUint64 } from './check.ts'
import { invalid } from '../native/errors.ts'
import type { NativeRoute } from '../native/seam.ts'
import { type RouteKind, handler } from './route-kind.ts'
import { optional, required } from './shape.ts'

/**
 * Writes go into a ring of 4096, and the vCPU waits only if the ring is full. `coalesce` lets the
 * kernel gather them without an exit (KVM API, `KVM_REGISTER_COALESCED_MMIO`), which delays them by
 * up to 20 ms while the guest makes no exit. If the kernel would lose writes of several vCPUs, each
 * write is an exit; `vmexit doctor` reports it. `WriteBatch` has an example.
 *
 * @category Routes
 */
export interface PostedTarget {
  /** What gathers: Rust, after an exit, or the kernel. */
  to: 'queue' | 'coalesce'
  /**
   * Gets all writes, in order, and before the same vCPU's later questions to a device, `onExit` or
   * `onData`. While a promise that it returns is open, further batches wait, and so do questions
   * that follow them. If the promise itself waits for such a question, both wait until `timeoutMs`
   * or `stop()`. At a run's end they wait no longer.
   */
  onBatch: (batch: WriteBatch) => unknown
  /** What reads give, 0 to 2^64 - 1; without it they are not claimed. */
  value?: number | bigint
  /** Only a device route has one. */
  device?: never
}

/**
 * Which writes an `event` route counts: all to its port or address, or those of one value and size.
 *
 * @category Routes
 */
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
 * The kernel counts writes to one port or address without an exit (KVM API, `KVM_IOEVENTFD`). Reads
 * are not claimed.
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
 *
 * @category Routes
 */
export type EventTarget = EventMatch & {
  /** The kernel counts. */
  to: 'event'
  /**
   * Gets the number of writes since the last call, at least 1. Under `run()` the call follows a
   * lone write at once; under `runSync()` it comes at the next exit or within 20 ms. It also comes
   * at the run's end. Order and promises are as for `onBatch`.
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
