import type { WriteBatch } from '../results/write-batch.ts'
import type { AccessSize } from '../results/exit.ts'

/**
 * What a route claims: ports, or guest physical addresses. An access belongs to the route of its first byte.
 * Claims do not overlap.
 */
export type Claim =
  | {
      /** First I/O port, 0 to 0xffff. */
      port: number
      /** A claim has a port or an address. */
      gpa?: never
      /** Ports, default 1; the last is 0xffff. */
      length?: number
    }
  | {
      /** First guest physical address, below 512 GiB, outside writable memory: accesses there never exit. */
      gpa: number
      /** A claim has a port or an address. */
      port?: never
      /** Bytes, default 1, up to 4 GiB. */
      length?: number
    }

/**
 * A device in TypeScript. It knows its offset and the value, never where it sits. The vCPU waits for it.
 *
 * Under `run()` a method may return a promise; under `runSync()` that is `ERR_ASYNC_HANDLER`. String
 * instructions call once for each item. A method that throws, or a read that gives no value, ends the run
 * with `ERR_HANDLER`. An access of 3, 5, 6 or 7 bytes arrives in pieces of 1, 2 and 4.
 *
 * @example
 * ```ts
 * const keys = [...Buffer.from('hi\0')]
 * const keyboard: Device = { read: () => keys.shift() ?? 0 }
 * using vm = new VirtualMachine({
 *   mode: 'long',
 *   payload: guests.input,
 *   routes: [
 *     { port: 0x60, device: keyboard },
 *     { port: 0xe9, to: 'console' },
 *   ],
 * })
 * console.log(vm.runSync().outputText) // hi
 * ```
 */
export interface Device {
  /**
   * Gives the value of a read, of which the low `size` bytes count: a whole number, or a bigint of 64 bits,
   * signed or not. Without this method reads are all ones.
   *
   * @param offset distance from the route's first port or address, 0 to 2^32 - 1
   * @param size bytes; 8 only at an address
   * @param vcpu index of the vCPU that asks
   *
   * @example
   * ```ts
   * const zeroes: Device = { read: async () => 0 }
   * using vm = new VirtualMachine({
   *   mode: 'long',
   *   payload: guests.input,
   *   routes: [{ port: 0x60, device: zeroes }],
   * })
   * console.log((await vm.run()).reason) // hlt
   * ```
   */
  read?(
    offset: number,
    size: AccessSize,
    vcpu: number,
  ): number | bigint | PromiseLike<number | bigint>
  /**
   * Takes a value. Without this method writes are dropped. What it returns is of no account, but the vCPU
   * waits for a promise.
   *
   * @param offset distance from the route's first port or address, 0 to 2^32 - 1
   * @param size bytes; 8 only at an address
   * @param value what the guest wrote, zero-extended; a bigint when `size` is 8, else a number
   * @param vcpu index of the vCPU that asks
   *
   * @example
   * ```ts
   * let text = ''
   * const screen: Device = {
   *   write(_offset, _size, value) {
   *     text += String.fromCharCode(Number(value))
   *   },
   * }
   * using vm = new VirtualMachine({
   *   mode: 'long',
   *   payload: guests.hello,
   *   routes: [{ port: 0xe9, device: screen }],
   * })
   * vm.runSync()
   * console.log(text) // Hello, world!
   * ```
   */
  write?(offset: number, size: AccessSize, value: number | bigint, vcpu: number): unknown
}

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
 */
export interface ConsoleTarget {
  /** Rust gathers the bytes. */
  to: 'console'
  /**
   * Gets the bytes in the order in which the guest wrote them, at most 16 KiB at once and at least every 20 ms;
   * when it returns a promise, the vCPU waits.
   */
  onData?: (bytes: Uint8Array) => unknown
  /** Only a device route has one. */
  device?: never
}

/** Reads give `value`, writes are dropped. */
export interface ConstantTarget {
  /** Rust answers. */
  to: 'constant'
  /** 0 to 2^64 - 1; the low bytes count, as many as the guest reads. */
  value: number | bigint
  /** Only a device route has one. */
  device?: never
}

/**
 * `discard` and `count`: writes are dropped, reads are all ones; `vm.counters()` counts both. `stop`: a write
 * ends the run with reason `'exit-port'` and the value as `exitCode`.
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
 */
export interface PlainTarget {
  /** Rust answers. */
  to: 'discard' | 'count' | 'stop'
  /** Only a device route has one. */
  device?: never
}

/** JavaScript answers, and the vCPU waits. */
export interface DeviceTarget {
  /** May be absent: the device says it. */
  to?: 'device'
  /** Who answers. Its methods are looked up at each access. */
  device: Device
}

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

/** Where a route's accesses go. */
export type Target =
  | ConsoleTarget
  | ConstantTarget
  | PlainTarget
  | DeviceTarget
  | PostedTarget
  | EventTarget

/**
 * A claim and where its accesses go.
 *
 * @example
 * ```ts
 * const routes: Route[] = [
 *   { port: 0xe9, to: 'console' },
 *   { port: 0x60, length: 5, to: 'constant', value: 0xff },
 *   { gpa: 0x1000_0000, length: 0x1000, device: { read: (offset) => offset } },
 * ]
 * using vm = new VirtualMachine({ mode: 'long', payload: guests.hello, routes })
 * console.log(vm.runSync().reason) // hlt
 * ```
 */
export type Route = Claim & Target

/** The JavaScript side of a route. */
export interface Handlers {
  /** For messages. */
  readonly name: string
  readonly device?: Device
  readonly onData?: (bytes: Uint8Array) => unknown
  readonly onBatch?: (batch: WriteBatch) => unknown
  readonly onEvent?: (count: number) => unknown
}
