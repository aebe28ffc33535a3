import type { AccessSize } from '../results/exit.ts'
import { checkFunction } from './check.ts'
import { invalid } from '../native/errors.ts'
import type { RouteKind } from './route-kind.ts'
import { required } from './shape.ts'

/**
 * What a device may use once it is attached: its `machine` with `memory`, `irq` and `registers`.
 *
 * @example
 * ```ts
 * class Doorbell implements Device {
 *   #context: DeviceContext | undefined
 *   attach(context: DeviceContext) {
 *     this.#context = context
 *   }
 *   write() {
 *     console.log(this.#context?.memory.readUint32(0x500)) // 1
 *   }
 * }
 * using vm = new VirtualMachine({
 *   mode: 'long',
 *   payload: guests.count,
 *   routes: [{ port: 0x200, device: new Doorbell() }],
 * })
 * vm.memory.writeUint32(0x500, 1)
 * vm.runSync()
 * ```
 *
 * @category Routes
 */
// The machine, which imports this file, adds what there is.
export interface DeviceContext {}

/**
 * A device in TypeScript. It gets offsets and values, never its own address. The vCPU waits for it.
 *
 * Under `run()` a method may return a promise; under `runSync()` that is `ERR_ASYNC_HANDLER`. A
 * string instruction calls once for each item. If a method throws, or a read returns no value, the
 * run ends with `ERR_HANDLER`. An access of 3, 5, 6 or 7 bytes arrives in pieces of 1, 2 and 4.
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
 *
 * @category Routes
 */
export interface Device {
  /**
   * Returns the value of a read, of which the low `size` bytes count: a whole number, or a bigint
   * of 64 bits, signed or not. Without this method reads are all ones.
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
   * Takes a value. Without this method writes are dropped. The returned value does not matter, but
   * the vCPU waits for a promise.
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
  /**
   * Called once, at the end of the machine's constructor or in `vm.attach`, also when several
   * routes have this device. What it throws, they throw: the machine is closed, or the route is not
   * attached.
   *
   * @example
   * ```ts
   * const device: Device = {
   *   read: () => 0,
   *   attach: ({ memory }) => memory.writeUint8(0x500, 1),
   * }
   * using vm = new VirtualMachine({
   *   mode: 'long',
   *   payload: guests.input,
   *   routes: [{ port: 0x60, device }],
   * })
   * console.log(vm.memory.readUint8(0x500)) // 1
   * ```
   */
  attach?(context: DeviceContext): void
  /**
   * Called once, when its last route is taken away or the machine is closed, for a device whose
   * `attach` did not throw. No method is called after it. What it throws, `vm.close()` throws once
   * everything is freed.
   *
   * @example
   * ```ts
   * const device: Device = { read: () => 0, close: () => undefined }
   * const vm = new VirtualMachine({
   *   mode: 'long',
   *   payload: guests.input,
   *   routes: [{ port: 0x60, device }],
   * })
   * vm.close()
   * console.log(vm.closed) // true
   * ```
   */
  close?(): void
  /**
   * Returns its state for `vm.snapshot()`: anything that `structuredClone` copies, and no promise.
   * It is copied at once, but shared memory stays shared. What the device writes into the guest's
   * memory here belongs to the snapshot. A device without this method is listed in
   * `snapshot.stateless`.
   *
   * @example
   * ```ts
   * class Counter implements Device {
   *   #count = 0
   *   write() {
   *     this.#count++
   *   }
   *   save() {
   *     return this.#count
   *   }
   *   restore(state: unknown) {
   *     this.#count = state as number
   *   }
   * }
   * const device = new Counter()
   * using vm = new VirtualMachine({
   *   mode: 'long',
   *   payload: guests.hello,
   *   routes: [{ port: 0xe9, device }],
   * })
   * using base = vm.snapshot()
   * vm.runSync()
   * console.log(device.save()) // 14
   * vm.restore(base)
   * console.log(device.save()) // 0
   * ```
   */
  save?(): unknown
  /**
   * Takes a state of `save` back: a copy that is this device's own. Called by `vm.restore()` after
   * all else is put back, and after `attach` when a machine is made of a snapshot. Without it there
   * is no `save`. If it returns a promise, that is `ERR_ASYNC_HANDLER`.
   *
   * @example
   * ```ts
   * let lamp = false
   * const device: Device = {
   *   write: () => (lamp = true),
   *   save: () => lamp,
   *   restore: (state) => (lamp = state === true),
   * }
   * using vm = new VirtualMachine({
   *   mode: 'long',
   *   payload: guests.hello,
   *   routes: [{ port: 0xe9, device }],
   * })
   * using base = vm.snapshot()
   * vm.runSync()
   * vm.restore(base)
   * console.log(lamp) // false
   * ```
   */
  restore?(state: unknown): void
}

/**
 * JavaScript answers, and the vCPU waits.
 *
 * @category Routes
 */
export interface DeviceTarget {
  /** May be absent, since `device` implies it. */
  to?: 'device'
  /** The device. Its methods are looked up at each access. */
  device: Device
}

/** The kind of a device's route. */
export const deviceKind = { handlers: { device: required(checkDevice) } } satisfies RouteKind

function checkDevice(name: string, value: unknown): Device {
  if (typeof value !== 'object' || value === null) {
    return invalid(name, 'an object with read or write', value)
  }
  const { read, write, attach, close, save, restore } = value as Device
  checkFunction(`${name}.read`, read)
  checkFunction(`${name}.write`, write)
  checkFunction(`${name}.attach`, attach)
  checkFunction(`${name}.close`, close)
  checkFunction(`${name}.save`, save)
  checkFunction(`${name}.restore`, restore)
  if (save && !restore) invalid(name, 'an object that has restore, as it has save', value)
  if (!read && !write) invalid(name, 'an object with read or write', value)
  return value as Device
}
