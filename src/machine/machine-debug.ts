import { Debug } from '../debug/stops/debug.ts'
import {
  type StepOptions,
  type StepSyncOptions,
  checkStepOptions,
  checkStepSyncOptions,
} from '../debug/stops/step-options.ts'
import type { NativeMachine } from '../native/seam.ts'
import type { ProfileOptions } from '../profile/options.ts'
import type { Profile } from '../profile/profile.ts'
import type { RunResult } from '../results/result.ts'
import { type Trace, type TraceOptions, beginTrace } from '../trace/trace.ts'
import { MachineRuns } from './machine-runs.ts'
import type { Processors } from './machine-state.ts'
import { Profiler } from './profiler.ts'
import { noteOwner } from './run/channels.ts'
import type { RunControl } from './run/run-control.ts'

/**
 * What looks into a machine as it runs.
 *
 * @category Debugging
 */
export abstract class MachineDebug extends MachineRuns {
  /** Breakpoints, watchpoints, and what they work by. */
  readonly debug: Debug
  readonly #machine: NativeMachine
  readonly #control: RunControl
  readonly #profiler: Profiler

  /** @internal */
  constructor(machine: NativeMachine, processors: Processors, control: RunControl) {
    super(machine, processors, control)
    this.#machine = machine
    noteOwner(machine, this)
    this.#control = control
    this.#profiler = new Profiler(machine, control, processors.symbols)
    this.debug = new Debug({ machine, ...processors })
  }

  /**
   * Executes instructions of one vCPU, one by one, while the others stand still, on a thread of its
   * own. The result has reason `'step'`, unless something else ends the run before. A step costs as
   * much as an exit. Interrupts are taken as in a run: the next instruction may be a handler's.
   *
   * Rejects with the errors of `run()`; `ERR_KVM_CAPABILITY` where this KVM cannot step.
   *
   * @example
   * ```ts
   * const image = Uint8Array.of(0xff, 0xc0, 0xeb, 0xfc) // 1: inc eax; jmp 1b
   * using vm = new VirtualMachine({ mode: 'long', payload: { image } })
   * const { reason } = await vm.step({ until: ({ rax }) => rax === 5n })
   * console.log(reason, vm.registers().rip) // step 2n
   * ```
   */
  step(options?: StepOptions): Promise<RunResult> {
    return this.#control.runThere(() => checkStepOptions(options, this.vcpus.length), this)
  }

  /**
   * The same on this thread.
   *
   * @throws {VmError} As of `runSync()`; `ERR_KVM_CAPABILITY` where this KVM cannot step.
   *
   * @example
   * ```ts
   * const image = Uint8Array.of(0xff, 0xc0, 0xeb, 0xfc) // 1: inc eax; jmp 1b
   * using vm = new VirtualMachine({ mode: 'long', payload: { image } })
   * vm.stepSync({ count: 3 })
   * console.log(vm.registers().rax) // 2n
   * ```
   */
  stepSync(options?: StepSyncOptions): RunResult {
    return this.#control.runHere(checkStepSyncOptions(options, this.vcpus.length))
  }

  /**
   * Records every exit from now on, until the trace is closed. It may be called at any time, also
   * during a run. An exit costs about 1 % more meanwhile.
   *
   * @throws {VmError} `ERR_VM_BUSY` while there is another trace of this machine, `ERR_VM_CLOSED`,
   * `ERR_INVALID_OPTION`, `ERR_LIMIT` for more than 256 MiB of records.
   *
   * @example
   * ```ts
   * using vm = new VirtualMachine({ mode: 'long', payload: guests.hello })
   * using trace = vm.trace()
   * vm.runSync({ onExit: () => undefined })
   * const slow = Array.from(trace).filter(({ hostNs }) => hostNs > 10_000_000_000)
   * console.log(trace.length, slow.length) // 15 0
   * ```
   */
  trace(options?: TraceOptions): Trace {
    return beginTrace(this.#machine, this.vcpus.length, options)
  }

  /**
   * Looks again and again where the vCPUs are, by the instruction and the calls that led to it. An
   * idle machine runs for that, as by `run()` with the same options, and the profile has the
   * result. A run of `run()` that is under way is sampled until it ends, or for `durationMs`.
   *
   * Calls are found by the chain of base pointers (RBP), which a compiler keeps with
   * `-fno-omit-frame-pointer`. A sample costs the guest 50 to 100 µs.
   *
   * Rejects with the errors of `run()`, of which no profile is left; with `signal.reason` if the
   * signal is aborted; with `ERR_VM_BUSY` under `runSync()`, and while another profile is taken.
   *
   * @example
   * ```ts
   * using vm = new VirtualMachine({ mode: 'long', payload: guests.spin })
   * const profile = await vm.profile({ hz: 200, timeoutMs: 100 })
   * console.log(profile.functions[0]?.name) // 0x0
   * console.log(profile.result?.reason) // timeout
   * ```
   */
  profile(options: ProfileOptions = {}): Promise<Profile> {
    return this.#profiler.take(options, this)
  }
}
