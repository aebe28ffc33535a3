import { checkInteger } from '../options/check.ts'
import { take } from '../native/errors.ts'
import type { NativeMachine } from '../native/seam.ts'

/** The pins of the IOAPIC that KVM emulates. */
const lastLine = 23

/**
 * An interrupt line of a machine with an irqchip: 0 to 15 reach the PIC and the IOAPIC, 16 to 23
 * the IOAPIC. Lines can be set at any time, even while the guest runs, and wake a halted vCPU.
 *
 * @example
 * ```ts
 * using vm = new VirtualMachine({ mode: 'long', irqchip: true, payload: guests.hello })
 * const com1 = vm.irq(4)
 * com1.pulse()
 * console.log(com1.line) // 4
 * ```
 *
 * @category Interrupts
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
   * Raises the line until `lower()` (`KVM_IRQ_LINE`). A level-triggered pin interrupts as long as
   * it is raised.
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
   * Lowers the line.
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
   * Raises and lowers the line at once: one edge. Pulses that the guest has not yet seen are
   * merged.
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
