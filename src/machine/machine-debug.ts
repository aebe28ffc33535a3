import type { NativeMachine } from '../native/seam.ts'
import type { ProfileOptions } from '../profile/options.ts'
import type { Profile } from '../profile/profile.ts'
import { MachineRuns } from './machine-runs.ts'
import type { Processors } from './machine-state.ts'
import { Profiler } from './profiler.ts'
import type { RunControl } from './run/run-control.ts'

/** What looks into a machine as it runs. */
export abstract class MachineDebug extends MachineRuns {
  readonly #profiler: Profiler

  /** @internal */
  constructor(machine: NativeMachine, processors: Processors, control: RunControl) {
    super(machine, processors, control)
    this.#profiler = new Profiler(machine, control, processors.symbols)
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
