import { checkBytes, checkUint64 } from '../options/check.ts'
import { take } from '../native/errors.ts'
import { MachineState, type Processors } from './machine-state.ts'
import type { NativeMachine } from '../native/seam.ts'
import {
  type RunOptions,
  type RunSyncOptions,
  checkRunOptions,
  checkRunSyncOptions,
} from '../options/run-options.ts'
import type { RunControl } from './run/run-control.ts'
import type { RunResult } from '../results/result.ts'

/**
 * What runs a machine, and what ends its runs.
 *
 * @category Machine
 */
export abstract class MachineRuns extends MachineState {
  readonly #machine: NativeMachine
  readonly #control: RunControl

  /** @internal */
  constructor(machine: NativeMachine, processors: Processors, control: RunControl) {
    super(machine, processors)
    this.#machine = machine
    this.#control = control
  }

  /** Whether a run is in progress, also in its handlers. */
  get running(): boolean {
    return this.#control.isRunning
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
    return this.#control.runHere(checkRunSyncOptions(options))
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
    return this.#control.runThere(() => checkRunOptions(options), this)
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
    this.#control.stop()
  }

  /** Whether a run is paused: `pause()` was called, and all vCPUs have left the guest. */
  get paused(): boolean {
    return this.#control.isPaused
  }

  /**
   * Interrupts the run in progress until `resume()`; resolves when all vCPUs have left the guest.
   * The run's promise waits, and its `timeoutMs` does not count the pause. Meanwhile everything is
   * allowed that an idle machine allows, but for `run()` and `runSync()`; no handler is called, and
   * what a handler has promised is taken after `resume()`. `stop()`, `close()` and an aborted
   * signal end a paused run.
   *
   * It also resolves if the run ends first, or if there is none; `paused` is then false. A second
   * call returns the first one's promise.
   *
   * Rejects with `ERR_VM_BUSY` during `runSync()`, and with `ERR_VM_CLOSED`.
   *
   * @example
   * ```ts
   * using vm = new VirtualMachine({ mode: 'long', payload: guests.spin })
   * const run = vm.run()
   * await vm.pause()
   * console.log(vm.paused, vm.registers().rip) // true 0n
   * vm.memory.writeUint8(0, 0xf4) // hlt, in place of a jump to itself
   * vm.resume()
   * console.log((await run).reason) // hlt
   * ```
   */
  pause(): Promise<void> {
    return this.#control.pause()
  }

  /**
   * Continues a paused run, with what is left of its time. Without a pause it does nothing; before
   * the vCPUs have left the guest it takes the pause back.
   *
   * @throws {VmError} `ERR_VM_CLOSED`; `ERR_LIMIT` if a thread cannot start, and the run stays
   * paused.
   *
   * @example
   * ```ts
   * using vm = new VirtualMachine({ mode: 'long', payload: guests.hello })
   * const run = vm.run({ onExit: () => undefined })
   * await vm.pause()
   * vm.resume()
   * console.log((await run).reason) // hlt
   * ```
   */
  resume(): void {
    this.#control.resume()
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
}
