import { checkUint64 } from './check.ts'
import { type RouteKind, handler } from './route-kind.ts'
import { optional, required } from './shape.ts'

/**
 * Text: to `onData` in batches, else into `result.output`. Reads are all ones.
 *
 * @example
 * ```ts
 * const decoder = new TextDecoder()
 * let text = ''
 * using vm = new VirtualMachine({
 *   mode: 'long',
 *   payload: guests.hello,
 *   routes: [
 *     {
 *       port: 0xe9,
 *       to: 'console',
 *       onData(bytes) {
 *         text += decoder.decode(bytes, { stream: true })
 *       },
 *     },
 *   ],
 * })
 * const result = await vm.run()
 * console.log(text.length, result.output.length) // 14 0
 * ```
 *
 * @category Routes
 */
export interface ConsoleTarget {
  /** Rust gathers the bytes. */
  to: 'console'
  /**
   * Gets the bytes in the order in which the guest wrote them, at most 16 KiB at once and at least
   * every 20 ms. If it returns a promise, the vCPU waits.
   */
  onData?: (bytes: Uint8Array) => unknown
  /** Only a device route has one. */
  device?: never
}

/**
 * Reads give `value`, writes are dropped.
 *
 * @category Routes
 */
export interface ConstantTarget {
  /** Rust answers. */
  to: 'constant'
  /** 0 to 2^64 - 1; the low bytes count, as many as the guest reads. */
  value: number | bigint
  /** Only a device route has one. */
  device?: never
}

/**
 * `discard` and `count`: writes are dropped, reads are all ones; `vm.counters()` counts both.
 * `stop`: a write ends the run with reason `'exit-port'` and the value as `exitCode`.
 *
 * @example
 * ```ts
 * using vm = new VirtualMachine({
 *   mode: 'long',
 *   payload: guests.count,
 *   routes: [{ port: 0x200, to: 'count' }],
 * })
 * vm.memory.writeUint32(0x500, 5)
 * vm.runSync()
 * console.log(vm.counters().routes[0]?.writes) // 5
 * ```
 *
 * @category Routes
 */
export interface PlainTarget {
  /** Rust answers. */
  to: 'discard' | 'count' | 'stop'
  /** Only a device route has one. */
  device?: never
}

/**
 * The kinds that Rust answers, and that need no handler: what `--port` of the command line can
 * name.
 */
export const plainKinds = {
  console: { handlers: { onData: optional(handler) } },
  constant: { values: { value: required(wide) } },
  discard: {},
  count: {},
  stop: {},
} satisfies Record<(ConsoleTarget | ConstantTarget | PlainTarget)['to'], RouteKind>

function wide(name: string, value: unknown): bigint {
  return checkUint64(name, value, true)
}
