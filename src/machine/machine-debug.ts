import type { NativeMachine } from '../native/seam.ts'
import { type Trace, type TraceOptions, beginTrace } from '../trace/trace.ts'
import { MachineRuns } from './machine-runs.ts'
import type { Processors } from './machine-state.ts'
import { noteOwner } from './run/channels.ts'
import type { RunControl } from './run/run-control.ts'

/** What looks into a machine as it runs. */
export abstract class MachineDebug extends MachineRuns {
  readonly #machine: NativeMachine

  /** @internal */
  constructor(machine: NativeMachine, processors: Processors, control: RunControl) {
    super(machine, processors, control)
    this.#machine = machine
    noteOwner(machine, this)
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
}
