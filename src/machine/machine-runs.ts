import { checkBytes, checkUint64 } from '../options/check.ts'
import { take } from '../native/errors.ts'
import { MachineState } from './machine-state.ts'
import type { NativeMachine } from '../native/seam.ts'
import type { RunOptions, RunSyncOptions } from '../options/run-options.ts'
import type { RunControl } from './run/run-control.ts'
import type { RunResult } from '../results/result.ts'

/** What runs a machine, and what ends its runs. */
export abstract class MachineRuns extends MachineState {
  readonly #machine: NativeMachine
  readonly #control: RunControl

  /** @internal */
  constructor(machine: NativeMachine, vcpus: number, control: RunControl) {
    super(machine, vcpus)
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
    return this.#control.runHere(options)
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
    return this.#control.runThere(options, this)
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
