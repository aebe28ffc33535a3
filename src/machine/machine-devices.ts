import { MachineRuns } from './machine-runs.ts'
import type { NativeMachine } from '../native/seam.ts'
import type { RunControl } from './run/run-control.ts'
import { type Screen, closeScreen, screenOf } from './screen/screen.ts'

/** What a machine has beside processors and memory, as its user meets it. */
export abstract class MachineDevices extends MachineRuns {
  readonly #screen: Screen | undefined

  /** @internal */
  constructor(machine: NativeMachine, vcpus: number, control: RunControl) {
    super(machine, vcpus, control)
    this.#screen = screenOf(machine)
  }

  /**
   * What the guest shows, of a machine with `screen` in its options; else `undefined`.
   *
   * @example
   * ```ts
   * using vm = new VirtualMachine({
   *   mode: 'real', pc: true, memoryBytes: 2 ** 20, screen: 'text', payload: guests.hello,
   * })
   * console.log(vm.screen?.kind, vm.screen?.width, vm.screen?.height) // text 640 400
   * ```
   */
  get screen(): Screen | undefined {
    return this.#screen
  }

  /** The machine is closed. @internal */
  protected closeDevices(): void {
    if (this.#screen) closeScreen(this.#screen)
  }
}
