import { checkInteger } from '../options/check.ts'
import { take } from '../native/errors.ts'
import type { NativeMachine } from '../native/seam.ts'

/** The pins of the IOAPIC that KVM plays. */
const lastLine = 23

/**
 * An interrupt line of a machine with an irqchip: 0 to 15 reach the PIC and the IOAPIC, 16 to 23 the IOAPIC. Lines can be
 * set at any time, while the guest runs too, and wake a vCPU that is halted.
 *
 * @example
 * ```ts
 * using vm = new VirtualMachine({ mode: 'long', irqchip: true, payload: guests.hello })
 * const com1 = vm.irq(4)
 * com1.pulse()
 * console.log(com1.line) // 4
 * ```
 */
export class IrqLine {
  /** 0 to 23. */
  readonly line: number
  readonly #machine: NativeMachine

  /** @internal */
  constructor(machine: NativeMachine, line: number) {
    this.#machine = machine
    this.line = checkInteger('line', line, 0, lastLine)
  }

  /**
   * Puts the line up, where it stays (`KVM_IRQ_LINE`). For a level-triggered pin that is an interrupt until `lower()`.
   *
   * @throws {VmError} `ERR_INVALID_OPTION` without an irqchip, `ERR_KVM_IOCTL`, `ERR_VM_CLOSED`.
   * @example
   * ```ts
   * using vm = new VirtualMachine({ mode: 'long', irqchip: true, payload: guests.hello })
   * vm.irq(5).raise()
   * console.log(vm.runSync({ timeoutMs: 5, onExit: () => undefined }).reason) // timeout
   * ```
   */
  raise(): void {
    take(this.#machine.setLine(this.line, true))
  }

  /**
   * Takes the line down.
   *
   * @throws {VmError} As `raise()`.
   * @example
   * ```ts
   * using vm = new VirtualMachine({ mode: 'long', irqchip: true, payload: guests.hello })
   * const line = vm.irq(5)
   * line.raise()
   * line.lower()
   * console.log(line.line) // 5
   * ```
   */
  lower(): void {
    take(this.#machine.setLine(this.line, false))
  }

  /**
   * Up and down at once, through an irqfd (`KVM_IRQFD`): one edge. Two that the guest has not seen in between are one.
   *
   * @throws {VmError} As `raise()`.
   * @example
   * ```ts
   * using vm = new VirtualMachine({ mode: 'long', irqchip: true, payload: guests.hello })
   * vm.irq(4).pulse()
   * console.log(vm.irq(4).line) // 4
   * ```
   */
  pulse(): void {
    take(this.#machine.pulseLine(this.line))
  }
}
