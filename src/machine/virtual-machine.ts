import { inspect, type InspectOptions } from 'node:util'

import { Asker } from './ask.ts'
import { VmError, fail, fromFailure, raise, take } from '../native/errors.ts'
import { MachineDevices } from './machine-devices.ts'
import { AttachedRoute } from './attached-route.ts'
import { readRouteCounters } from './counters.ts'
import type { IrqLine } from './irq.ts'
import { type GuestMemory, forgetBuffer } from './memory.ts'
import type { Device, DeviceContext } from '../options/device.ts'
import type { VirtualMachineOptions } from '../options/options.ts'
import { type Route, checkRoute } from '../options/routes.ts'
import type { Registers } from '../results/registers.ts'
import type { RunResult } from '../results/result.ts'
import type { ConsolePort } from './streams/console-port.ts'
import { RunControl } from './run/run-control.ts'
import type { Failure, NativeMachine, NativeRest } from '../native/seam.ts'
import { SerialPort } from './streams/serial.ts'
import { nativeSide, resultOf } from '../native/friends.ts'
import { begin } from './snapshot/begin.ts'
import type { Parts } from './snapshot/parts.ts'
import {
  type ForkOptions,
  type Snapshot,
  type SnapshotOptions,
  putBack,
  takeSnapshot,
} from './snapshot/snapshot.ts'
import { putStatesBack } from './snapshot/states.ts'

declare module '../options/device.ts' {
  interface DeviceContext {
    /** The machine that the device is attached to. */
    readonly machine: VirtualMachine
    /** Its memory. */
    readonly memory: GuestMemory
    /** An interrupt line, as `vm.irq`. */
    readonly irq: (line: number) => IrqLine
    /**
     * General registers: while this device is asked those of the vCPU that asks, until the answer,
     * as KVM shows them at the exit; on an idle machine those of vCPU 0, as `vm.registers`. At any
     * other time `ERR_VM_BUSY`.
     */
    readonly registers: () => Registers
  }
}

declare module '../results/autopsy.ts' {
  interface ExplainOptions {
    /**
     * Where KVM has reset the vCPU, as it does on AMD processors: a state from before, from which
     * the machine comes to the same end. A copy runs from it up to the last instruction.
     */
    readonly replay?: Snapshot
  }
}

/**
 * A KVM virtual machine: memory, vCPUs in any x86 mode, and routes that answer their exits.
 *
 * @example
 * ```ts
 * using vm = new VirtualMachine({
 *   mode: 'long',
 *   payload: guests.hello,
 *   routes: [{ port: 0xe9, to: 'console' }],
 * })
 * const result = await vm.run({ timeoutMs: 1000 })
 * console.log(result.reason, vm.registers().rax) // hlt 42n
 * ```
 *
 * @category Machine
 */
export class VirtualMachine extends MachineDevices implements Disposable, AsyncDisposable {
  readonly #machine: NativeMachine
  readonly #asker: Asker
  readonly #control: RunControl
  readonly #parts: Parts
  #serial: SerialPort | undefined

  /**
   * Creates the machine, its vCPU before the payload's first instruction.
   *
   * @throws {VmError} `ERR_INVALID_OPTION`, `ERR_LIMIT` or `ERR_PAYLOAD` naming the option;
   * `ERR_KVM_UNAVAILABLE`, `ERR_KVM_CAPABILITY` or `ERR_KVM_IOCTL` for the host; `ERR_SNAPSHOT` for
   * a snapshot that is closed, or has no such route; `ERR_INTERNAL`.
   *
   * @example
   * ```ts
   * using vm = new VirtualMachine({
   *   mode: 'protected',
   *   memoryBytes: 16 * 1024 * 1024,
   *   slots: [{ gpa: 0x1000_0000, bytes: 4096, readOnly: true }],
   *   payload: guests.hello,
   * })
   * console.log(vm.registers().rip, vm.running) // 0n false
   * ```
   */
  constructor(options: VirtualMachineOptions | SnapshotOptions) {
    const { states, ...parts } = begin(options)
    const { machine, handlers, devices, remotes } = parts
    const own = [...handlers.values()]
    const asker = new Asker(handlers, machine, parts.stops)
    const control = new RunControl(machine, asker, parts)
    super(machine, parts, control)
    this.#parts = parts
    this.#machine = machine
    this.#asker = asker
    this.#control = control
    control.listen({
      changed: () => {
        this.#serial?.consider()
        remotes.changed(control.mayWait)
      },
      failed: () => this.close(),
    })
    if (parts.hasSerial) {
      // Its route follows the caller's.
      const onData = (bytes: Uint8Array) => this.#serial?.receive(bytes)
      handlers.set(own.length, { name: 'the serial port', onData })
    }
    try {
      for (const { device } of own) if (device) devices.attach(device, this.#contextOf(device))
      putStatesBack(states, own)
    } catch (error) {
      this.close()
      raise(error)
    }
  }

  /** For `vmexit/process`. @internal */
  get [nativeSide](): NativeMachine {
    return this.#machine
  }

  /** The same. @internal */
  [resultOf](ended: number | NativeRest | Failure): RunResult {
    return this.#control.ended(ended)
  }

  /** Whether `close()` was called, or a fault of vmexit's own (`ERR_INTERNAL`) has closed it. */
  get closed(): boolean {
    return this.#control.isClosed || this.#machine.isClosed()
  }

  /**
   * Adds a route to an idle machine, as those of the options are. It may claim what a PC's own
   * devices have, in whole or in part: its accesses come here then, until it is taken away.
   * `counters().routes` lists it after those that are there.
   *
   * @throws {VmError} `ERR_VM_BUSY`, `ERR_VM_CLOSED`, `ERR_INVALID_OPTION`, `ERR_LIMIT`,
   * `ERR_KVM_CAPABILITY`, `ERR_KVM_IOCTL`; then nothing is changed. What a device's `attach`
   * throws.
   *
   * @example
   * ```ts
   * using vm = new VirtualMachine({ mode: 'long', payload: guests.hello })
   * using route = vm.attach({ port: 0xe9, to: 'console' })
   * console.log(vm.runSync().outputText.length, route.counters().writes) // 14 14
   * ```
   */
  attach(route: Route): AttachedRoute {
    this.#control.checkIdle()
    const [config, handlers] = checkRoute(route, 'route')
    const { device } = handlers
    const id = take(this.#machine.attach(config)) as number
    this.#asker.add(id, handlers)
    try {
      if (device) this.#parts.devices.attach(device, this.#contextOf(device))
    } catch (error) {
      // Its device is not attached.
      this.#detach(id, undefined)
      raise(error)
    }
    return new AttachedRoute(
      () => readRouteCounters(this.#machine, id),
      () => this.#detach(id, device),
    )
  }

  /**
   * The state of an idle or paused machine as a value. Its cost depends on the memory in use, once;
   * the machine and the snapshot share their pages from then on.
   *
   * @throws {VmError} `ERR_VM_BUSY` during a run, `ERR_VM_CLOSED`, `ERR_LIMIT`,
   * `ERR_KVM_CAPABILITY`, `ERR_KVM_IOCTL`; `ERR_SNAPSHOT` for a state of a device that cannot be
   * copied, `ERR_HANDLER` when its `save` throws. The machine goes on as before.
   *
   * @example
   * ```ts
   * using vm = new VirtualMachine({ mode: 'long', payload: guests.hello })
   * using base = vm.snapshot()
   * console.log(base.registers.rip, base.stateless) // 0n []
   * ```
   */
  snapshot(): Snapshot {
    this.#control.checkIdle()
    return takeSnapshot(this.#parts)
  }

  /**
   * Makes an idle or paused machine what it was in a snapshot, of it or of a machine of the same
   * shape: memory, slots, vCPUs, irqchip, PC, serial port and claims. What handlers were given is
   * not undone. Its cost depends on the pages that were written since, and not on the size of
   * memory.
   *
   * @throws {VmError} `ERR_SNAPSHOT` for a machine of another shape, or a closed snapshot,
   * `ERR_VM_BUSY` during a run, `ERR_VM_CLOSED`, `ERR_INVALID_OPTION`; then nothing is changed.
   * `ERR_KVM_IOCTL`; then the next restore makes it whole. `ERR_HANDLER` when `restore` of a device
   * throws, `ERR_ASYNC_HANDLER` when it returns a promise; the others are restored.
   *
   * @example
   * ```ts
   * using vm = new VirtualMachine({ mode: 'long', payload: guests.hello })
   * using base = vm.snapshot()
   * for (let round = 0; round < 3; round++) {
   *   vm.runSync({ onExit: () => undefined })
   *   vm.restore(base)
   * }
   * console.log(vm.memory.readUint64(0x400)) // 0n
   * ```
   */
  restore(snapshot: Snapshot): void {
    this.#control.checkIdle()
    putBack(this.#parts, snapshot, () => {
      this.#asker.forget()
      this.#control.restored()
    })
  }

  /**
   * A further machine that goes on where this one is: `snapshot()` and
   * `new VirtualMachine({ snapshot })` in one. They share memory until one of them writes.
   *
   * @throws {VmError} As of both.
   *
   * @example
   * ```ts
   * using vm = new VirtualMachine({ mode: 'long', payload: guests.hello })
   * using other = vm.fork()
   * other.runSync({ onExit: () => undefined })
   * console.log(other.registers().rax, vm.registers().rax) // 42n 0n
   * ```
   */
  fork(options: ForkOptions = {}): VirtualMachine {
    const snapshot = this.snapshot()
    try {
      return new VirtualMachine({ ...options, snapshot })
    } finally {
      snapshot.close()
    }
  }

  /**
   * The host's end of the serial port, always the same stream unless it is destroyed. Until the
   * first access, what the guest sends joins `result.output`.
   *
   * @throws {VmError} `ERR_INVALID_OPTION` when the machine has none, `ERR_VM_CLOSED`.
   * @example
   * ```ts
   * // mov dx, 0x3f8; mov al, 'A'; out dx, al; hlt
   * const image = Uint8Array.of(0xba, 0xf8, 0x03, 0xb0, 0x41, 0xee, 0xf4)
   * using vm = new VirtualMachine({ mode: 'real', serial: true, payload: { image } })
   * vm.serial.on('data', (bytes) => console.log(String(bytes))) // A
   * await vm.run()
   * ```
   */
  get serial(): SerialPort {
    const { closed } = this
    if (this.#serial && (closed || !this.#serial.destroyed)) return this.#serial
    if (!this.#parts.hasSerial)
      return fail('ERR_INVALID_OPTION', 'the machine has no serial port; make it with serial: true')
    if (closed) return raise(new VmError('ERR_VM_CLOSED', 'the machine is closed'))
    return (this.#serial = new SerialPort(this.#machine, () => this.#control.mayWait))
  }

  /**
   * The host's ends of the console ports, by name, and that of the console by 0; without the option
   * `ports` there are none. They are the same streams for as long as the machine lives.
   *
   * @example
   * ```ts
   * using vm = new VirtualMachine({
   *   pc: true,
   *   mode: 'long',
   *   memoryBytes: 2 ** 24,
   *   payload: guests.hello,
   *   ports: ['agent'],
   * })
   * vm.ports.get('agent')?.write('hello')
   * console.log([...vm.ports.keys()]) // [ 0, 'agent' ]
   * ```
   */
  get ports(): ReadonlyMap<string | number, ConsolePort> {
    return this.#parts.ports
  }

  /**
   * Frees memory, vCPUs and threads. It may be called at any moment, any number of times. A run in
   * progress rejects with `ERR_VM_CLOSED`, and no handler is called any more. `using` calls it at
   * the end of the block. If a handler of `runSync()` calls it, the vCPU is freed when `runSync()`
   * returns.
   *
   * A `memory.buffer` that is still referenced is emptied, not detached. Descriptors are gone soon
   * after it returns.
   *
   * @example
   * ```ts
   * const vm = new VirtualMachine({ mode: 'long', payload: guests.spin })
   * const run = vm.run()
   * vm.close()
   * await run.catch((error) => console.log(error.code)) // ERR_VM_CLOSED
   * ```
   */
  close(): void {
    if (this.#control.isClosed) return
    const undelivered = this.#machine.close()
    forgetBuffer(this.memory)
    // Text and writes from before the guest's end still arrive. After that no handler is called any
    // more. A handler that closes its own machine wants none of the text that follows.
    const texts = this.#asker.isAsking ? [] : undelivered
    this.#control.close(() => {
      for (const { route, bytes } of texts) this.#asker.deliver(route, bytes)
      this.#asker.drainLast()
    })
    this.#asker.close()
    this.#machine.release()
    this.#serial?.finish()
    this.closeDevices()
    this.#control.cutOff()
    this.#parts.remotes.close()
    this.#parts.devices.close()
  }

  /** Does what `close()` does; `using` calls it. */
  [Symbol.dispose](): void {
    this.close()
  }

  /** Does what `close()` does; `await using` calls it. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.close()
  }

  /** What it is and does, for `console.log`: nothing is asked of the guest, nor made. @internal */
  [inspect.custom](depth: number, options: InspectOptions, show: typeof inspect): string {
    if (depth < 0) return '[VirtualMachine]'
    const state = this.closed
      ? 'closed'
      : this.paused
        ? 'paused'
        : this.running
          ? 'running'
          : 'idle'
    return `VirtualMachine ${show({ state, mode: this.loaded.mode, ...this.#parts.summary }, options)}`
  }

  /** What a device may use. */
  #contextOf(device: Device): DeviceContext {
    return {
      machine: this,
      memory: this.memory,
      irq: (line) => this.irq(line),
      registers: () => this.#asker.registersFor(device) ?? this.registers(),
    }
  }

  /** Returns what tells its device. */
  #detach(id: number, device: Device | undefined): () => void {
    if (this.#control.isClosed) return ignore
    this.#control.checkIdle()
    const failure = this.#machine.detach(id)
    if (failure) raise(fromFailure(failure))
    this.#asker.remove(id)
    return () => device && this.#parts.devices.detach(device)
  }
}

function ignore(): void {}
