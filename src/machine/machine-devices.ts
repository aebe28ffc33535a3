import { VmError, fail, raise } from '../native/errors.ts'
import type { NativeMachine } from '../native/seam.ts'
import { Keyboard } from './keyboard/keyboard.ts'
import { MachineDebug } from './machine-debug.ts'
import type { Processors } from './machine-state.ts'
import type { RunControl } from './run/run-control.ts'
import { type Screen, closeScreen, screenOf } from './screen/screen.ts'

/**
 * What a user has in front of a PC: screen and keyboard, and the buttons of its case.
 *
 * @category Machine
 */
export abstract class MachineDevices extends MachineDebug {
  readonly #machine: NativeMachine
  readonly #control: RunControl
  readonly #screen: Screen | undefined
  #keyboard: Keyboard | undefined

  /** @internal */
  constructor(machine: NativeMachine, processors: Processors, control: RunControl) {
    super(machine, processors, control)
    this.#machine = machine
    this.#control = control
    this.#screen = screenOf(machine, () => this.keyboard)
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

  /**
   * How many times a second the time-stamp counters of its vCPUs count (`KVM_GET_TSC_KHZ`), which
   * CPUID tells the guest, too. 0 if KVM does not know.
   *
   * @example
   * ```ts
   * using vm = new VirtualMachine({ mode: 'long', payload: guests.hello })
   * console.log(vm.tscHz > 100_000_000) // true
   * ```
   */
  get tscHz(): number {
    return this.#machine.tscKhz() * 1000
  }

  /**
   * The keyboard of a PC.
   *
   * @throws {VmError} `ERR_INVALID_OPTION` without `pc: true`, `ERR_VM_CLOSED`.
   * @example
   * ```ts
   * // in al, 0x60; hlt
   * const image = Uint8Array.of(0xe4, 0x60, 0xf4)
   * using vm = new VirtualMachine({
   *   mode: 'real', pc: true, memoryBytes: 2 ** 20, payload: { image },
   * })
   * vm.keyboard.down('KeyA')
   * const { registers } = await vm.run({ timeoutMs: 50 })
   * console.log(registers.rax & 0xffn) // 30n
   * ```
   */
  get keyboard(): Keyboard {
    if (this.#keyboard) return this.#keyboard
    this.#checkPc('keyboard')
    return (this.#keyboard = new Keyboard(this.#machine, this.#control))
  }

  /**
   * Presses the power button of a PC: a guest that knows ACPI turns itself off, or does what else
   * it is set to. It may be called at any time; a guest that does not run notices when it does.
   *
   * @throws {VmError} `ERR_INVALID_OPTION` without `pc: true`, `ERR_VM_CLOSED`.
   * @example
   * ```ts
   * // mov dx, 0x600; in ax, dx; hlt
   * const image = Uint8Array.of(0xba, 0x00, 0x06, 0xed, 0xf4)
   * using vm = new VirtualMachine({
   *   mode: 'real', pc: true, memoryBytes: 2 ** 20, payload: { image },
   * })
   * vm.powerButton()
   * const { registers } = await vm.run({ timeoutMs: 50 })
   * console.log((registers.rax & 0xffffn).toString(16)) // 100
   * ```
   */
  powerButton(): void {
    this.#checkPc('power button')
    this.#machine.pressPower()
  }

  /**
   * Presses the reset button: the run in progress, paused or not, ends with reason `'reset'` and no
   * `exit`, whatever the guest does. What comes then is the caller's choice, as after a reset by
   * the guest: `vm.restore()`, or a new machine. Like `stop()`, it does nothing without a run.
   *
   * @example
   * ```ts
   * using vm = new VirtualMachine({ mode: 'long', payload: guests.spin })
   * setTimeout(() => vm.reset(), 5)
   * console.log((await vm.run()).reason) // reset
   * ```
   */
  reset(): void {
    this.#control.reset()
  }

  /** The machine is closed. @internal */
  protected closeDevices(): void {
    if (this.#screen) closeScreen(this.#screen)
  }

  #checkPc(what: string): void {
    if (this.#control.isClosed) return raise(new VmError('ERR_VM_CLOSED', 'the machine is closed'))
    if (this.#machine.hasKeyboard()) return
    return fail('ERR_INVALID_OPTION', `the machine has no ${what}; make it with pc: true`)
  }
}
