import { inspect, type InspectOptions } from 'node:util'

import { Asker } from './ask.ts'
import { checkBytes, checkUint64 } from '../options/check.ts'
import { VmError, fail, fromFailure, isFailure, isInternal, raise, take } from '../native/errors.ts'
import { MachineState } from './machine-state.ts'
import { AttachedRoute } from './attached-route.ts'
import { readRouteCounters } from './counters.ts'
import type { Devices } from './devices.ts'
import type { IrqLine } from './irq.ts'
import { type GuestMemory, forgetBuffer } from './memory.ts'
import type { Device, DeviceContext } from '../options/device.ts'
import type { VirtualMachineOptions } from '../options/options.ts'
import { type Route, checkRoute } from '../options/routes.ts'
import type { Registers } from './registers.ts'
import {
  type RunOptions,
  type RunSyncOptions,
  checkRunOptions,
  checkRunSyncOptions,
} from '../options/run-options.ts'
import { RunResult } from '../results/result.ts'
import { RunPromise } from './run-promise.ts'
import { BackgroundRun } from './run.ts'
import type { NativeMachine } from '../native/seam.ts'
import { SerialPort } from './serial.ts'
import { isAborted, reasonOf } from '../options/signal.ts'
import { begin } from './snapshot/begin.ts'
import type { ForkOptions, SnapshotOptions } from './snapshot/snapshot.ts'
import { putStatesBack } from './snapshot/states.ts'
import type { Summary } from './summary.ts'

/** How often a run delivers text and checks for a dying worker while there are no exits. */
const tickMs = 20

declare module '../options/device.ts' {
  interface DeviceContext {
    /** The machine that the device is attached to. */
    readonly machine: VirtualMachine
    /** Its memory. */
    readonly memory: GuestMemory
    /** An interrupt line, as `vm.irq`. */
    readonly irq: (line: number) => IrqLine
    /** The registers of the first vCPU, as `vm.registers`: on an idle machine only. */
    readonly registers: () => Registers
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
 */
export class VirtualMachine extends MachineState implements Disposable, AsyncDisposable {
  readonly #machine: NativeMachine
  readonly #asker: Asker
  readonly #context: DeviceContext
  readonly #hasSerial: boolean
  readonly #summary: Summary
  readonly #devices: Devices
  #serial: SerialPort | undefined
  #run: { background: BackgroundRun; promise: Promise<RunResult> } | undefined
  #running = false
  #closed = false

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
    super(parts)
    const { machine, handlers, devices } = parts
    const own = [...handlers.values()]
    this.#machine = machine
    this.#devices = devices
    if (parts.hasSerial) {
      // Its route follows the caller's.
      const onData = (bytes: Uint8Array) => this.#serial?.receive(bytes)
      handlers.set(own.length, { name: 'the serial port', onData })
    }
    this.#hasSerial = parts.hasSerial
    this.#summary = parts.summary
    this.#asker = new Asker(handlers, this.#machine)
    this.#context = {
      machine: this,
      memory: this.memory,
      irq: (line) => this.irq(line),
      registers: () => this.registers(),
    }
    try {
      for (const { device } of own) if (device) devices.attach(device, this.#context)
      putStatesBack(states, own)
    } catch (error) {
      this.close()
      raise(error)
    }
  }

  /** Whether a run is in progress, also in its handlers. */
  get running(): boolean {
    return this.#running
  }

  /** Whether `close()` was called, or a fault of vmexit's own (`ERR_INTERNAL`) has closed it. */
  get closed(): boolean {
    return this.#closed || this.#machine.isClosed()
  }

  /**
   * Runs the guest on this thread until something ends the run. A further run continues where it
   * ended. During the run this thread's timers and promises wait; handlers are called.
   *
   * @throws {VmError} `ERR_VM_BUSY`, `ERR_VM_CLOSED`, `ERR_UNANSWERED_READ`, `ERR_HANDLER` (with
   * the handler's own error as `cause`), `ERR_ASYNC_HANDLER`, `ERR_KVM_IOCTL`,
   * `ERR_INVALID_OPTION`, `ERR_LIMIT` for a thread that cannot start, `ERR_INTERNAL`.
   *
   * @example
   * ```ts
   * using vm = new VirtualMachine({ mode: 'long', payload: guests.spin })
   * console.log(vm.runSync({ timeoutMs: 5 }).reason) // timeout
   * ```
   */
  runSync(options?: RunSyncOptions): RunResult {
    const { limits, onExit } = checkRunSyncOptions(options)
    this.#checkReady()
    this.#asker.begin(onExit, false)
    this.#running = true
    try {
      const outcome = this.#machine.runSync({ ...limits, tickMs }, this.#asker.ask)
      this.#asker.drainLast()
      if (isFailure(outcome)) {
        const failure = this.#failure(fromFailure(outcome))
        if (isInternal(failure)) this.close()
        return raise(failure)
      }
      for (const { route, bytes } of outcome.undelivered) this.#asker.deliver(route, bytes)
      if (this.#closed || this.#asker.failure) return raise(this.#failure())
      return new RunResult(outcome)
    } finally {
      this.#running = false
      this.#asker.end()
    }
  }

  /**
   * Runs each vCPU on a thread of its own; the event loop stays free. A further run continues where
   * it ended. The process stays alive as long as the promise is awaited.
   *
   * Rejects with the errors of `runSync` but `ERR_ASYNC_HANDLER`, with `ERR_VM_CLOSED` if the
   * machine is closed during the run, and with `signal.reason` if the signal is aborted.
   *
   * @example
   * ```ts
   * using vm = new VirtualMachine({ mode: 'long', payload: guests.spin })
   * const run = vm.run({ signal: AbortSignal.timeout(5) })
   * await run.catch((error) => console.log(error.name)) // TimeoutError
   * ```
   */
  run(options?: RunOptions): Promise<RunResult> {
    let background: BackgroundRun | undefined
    const promise = RunPromise.make<RunResult>(
      (resolve, reject) => {
        background = this.#start(options, resolve, reject)
      },
      () => background?.hold(this),
    )
    if (background && this.#running) {
      this.#run = { background, promise }
      this.#serial?.consider()
    }
    // A run() from a handler of the same run is ERR_VM_BUSY, not the end of the process.
    else if (this.#asker.isAsking) promise.catch(ignore)
    return promise
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
    this.#checkReady()
    const [config, handlers] = checkRoute(route, 'route')
    const { device } = handlers
    const id = take(this.#machine.attach(config)) as number
    this.#asker.add(id, handlers)
    try {
      if (device) this.#devices.attach(device, this.#context)
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
   * Ends the run in progress, whose result then has reason `'stopped'`. Handlers may call it, too.
   * Without a run it does nothing. It returns at once and throws nothing.
   *
   * @example
   * ```ts
   * using vm = new VirtualMachine({ mode: 'long', payload: guests.spin })
   * setTimeout(() => vm.stop(), 5)
   * console.log((await vm.run()).reason) // stopped
   * ```
   */
  stop(): void {
    if (this.#run) this.#run.background.stop()
    else this.#machine.stop()
  }

  /**
   * Gives the unclaimed read that ended the last run its value: 0 to 2^64 - 1, of which the low
   * bytes count, for every item; or, for a string read, a `Uint8Array` of size times count bytes.
   * The next run continues after the read.
   *
   * @throws {VmError} `ERR_UNANSWERED_READ` when no read waits, `ERR_INVALID_OPTION`,
   * `ERR_VM_BUSY`, `ERR_VM_CLOSED`.
   *
   * @example
   * ```ts
   * using vm = new VirtualMachine({ mode: 'long', payload: guests.input })
   * console.log(vm.runSync().reason) // pio-in
   * vm.reply(0)
   * console.log(vm.runSync().reason) // hlt
   * ```
   */
  reply(value: number | bigint | Uint8Array): void {
    const isObject = typeof value === 'object' && value !== null
    take(
      this.#machine.reply(
        isObject ? checkBytes('value', value) : checkUint64('value', value, true),
      ),
    )
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
    if (!this.#hasSerial)
      return fail('ERR_INVALID_OPTION', 'the machine has no serial port; make it with serial: true')
    if (closed) return raise(new VmError('ERR_VM_CLOSED', 'the machine is closed'))
    return (this.#serial = new SerialPort(this.#machine, () => this.#run !== undefined))
  }

  /**
   * Frees memory, vCPUs and threads. It may be called at any moment, any number of times. A run in
   * progress rejects with `ERR_VM_CLOSED`, and no handler is called any more. `using` calls it at
   * the end of the block. If a handler of `runSync()` calls it, the vCPU is freed when `runSync()`
   * returns.
   *
   * A `memory.buffer` that is still referenced is emptied, not detached.
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
    if (this.#closed) return
    this.#closed = true
    const undelivered = this.#machine.close()
    forgetBuffer(this.memory)
    // Text and writes from before the guest's end still arrive. After that no handler is called any
    // more. A handler that closes its own machine wants none of the text that follows.
    const texts = this.#asker.isAsking ? [] : undelivered
    const handOver = (): void => {
      for (const { route, bytes } of texts) this.#asker.deliver(route, bytes)
      this.#asker.drainLast()
    }
    if (this.#run) this.#run.background.within(handOver)
    else handOver()
    this.#asker.close()
    this.#machine.release()
    this.#serial?.finish()
    // If the run is not awaited, its end is no unhandled rejection: it was closed on purpose.
    this.#run?.promise.catch(ignore)
    this.#run?.background.cutOff()
    this.#devices.close()
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
    const state = this.closed ? 'closed' : this.#running ? 'running' : 'idle'
    return `VirtualMachine ${show({ state, mode: this.loaded.mode, ...this.#summary }, options)}`
  }

  #start(
    options: RunOptions | undefined,
    resolve: (result: RunResult) => void,
    reject: (error: unknown) => void,
  ): BackgroundRun | undefined {
    const { limits, onExit, signal } = checkRunOptions(options)
    this.#checkReady()
    if (signal && isAborted(signal)) {
      reject(reasonOf(signal))
      return undefined
    }
    this.#asker.begin(onExit, true)
    this.#running = true
    const background = new BackgroundRun(this.#machine, this.#asker, signal, () => {
      this.#running = false
      this.#run = undefined
      this.#serial?.consider()
    })
    background.start({ ...limits, ...(this.#asker.needsTicks && { tickMs }) }, resolve, (error) => {
      if (isInternal(error)) this.close()
      reject(error)
    })
    return background
  }

  /** Returns what tells its device. */
  #detach(id: number, device: Device | undefined): () => void {
    if (this.#closed) return ignore
    this.#checkReady()
    const failure = this.#machine.detach(id)
    if (failure) raise(fromFailure(failure))
    this.#asker.remove(id)
    return () => device && this.#devices.detach(device)
  }

  #checkReady(): void {
    if (this.#closed) return raise(new VmError('ERR_VM_CLOSED', 'the machine is closed'))
    if (this.#running) {
      const what = 'the machine is running; wait for its run to end, or stop() it first'
      return raise(new VmError('ERR_VM_BUSY', what))
    }
  }

  #failure(otherwise?: VmError): VmError {
    if (this.#closed) return new VmError('ERR_VM_CLOSED', 'the machine was closed during the run')
    return this.#asker.failure ?? otherwise ?? new VmError('ERR_HANDLER', 'a handler failed')
  }
}

function ignore(): void {}
