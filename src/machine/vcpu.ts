import {
  type Registers,
  type SpecialRegisters,
  type SpecialRegistersUpdate,
  readRegisters,
  readSpecialRegisters,
  writeRegisters,
  writeSpecialRegisters,
} from './registers.ts'
import type { NativeMachine } from '../native/seam.ts'

/**
 * The state of one vCPU. It can be read and written only while the machine does not run, so not in
 * handlers.
 */
export class Vcpu {
  /** 0 for the boot processor. */
  readonly index: number
  readonly #machine: NativeMachine

  /** @internal */
  constructor(machine: NativeMachine, index: number) {
    this.#machine = machine
    this.index = index
  }

  /**
   * General registers, RIP and RFLAGS (`KVM_GET_REGS`).
   *
   * @throws {VmError} `ERR_VM_BUSY` during a run, `ERR_VM_CLOSED`, `ERR_KVM_IOCTL`.
   *
   * @example
   * ```ts
   * using vm = new VirtualMachine({ mode: 'long', payload: guests.hello })
   * vm.runSync({ onExit: () => undefined })
   * console.log(vm.vcpus[0].registers().rax) // 42n
   * ```
   */
  registers(): Registers {
    return readRegisters(this.#machine, this.index)
  }

  /**
   * Sets general registers (`KVM_SET_REGS`): bigints of 64 bits. Absent ones keep their value.
   *
   * @throws {VmError} `ERR_VM_BUSY` during a run, `ERR_UNANSWERED_READ` after an unclaimed read,
   * `ERR_VM_CLOSED`, `ERR_INVALID_OPTION`, `ERR_KVM_IOCTL`; then no register is changed.
   *
   * @example
   * ```ts
   * using vm = new VirtualMachine({ mode: 'long', payload: guests.hello })
   * vm.vcpus[0].setRegisters({ rbx: 7n })
   * console.log(vm.vcpus[0].registers().rbx) // 7n
   * ```
   */
  setRegisters(registers: Partial<Registers>): void {
    writeRegisters(this.#machine, this.index, registers)
  }

  /**
   * Segment, descriptor-table and control registers (`KVM_GET_SREGS`).
   *
   * @throws {VmError} `ERR_VM_BUSY` during a run, `ERR_VM_CLOSED`, `ERR_KVM_IOCTL`.
   *
   * @example
   * ```ts
   * using vm = new VirtualMachine({ mode: 'long', payload: guests.hello })
   * const { cs, efer } = vm.vcpus[0].specialRegisters()
   * console.log(cs.l, (efer & 0x400n) !== 0n) // 1 true
   * ```
   */
  specialRegisters(): SpecialRegisters {
    return readSpecialRegisters(this.#machine, this.index)
  }

  /**
   * Sets special registers, single fields of a segment too (`KVM_SET_SREGS`). Absent ones keep
   * their value. If KVM refuses the state, the error is `ERR_KVM_IOCTL`; if the processor refuses
   * it, the next run ends with `fail-entry` or `shutdown`.
   *
   * @throws {VmError} `ERR_VM_BUSY` during a run, `ERR_UNANSWERED_READ` after an unclaimed read,
   * `ERR_VM_CLOSED`, `ERR_INVALID_OPTION`, `ERR_KVM_IOCTL`; then no register is changed.
   *
   * @example
   * ```ts
   * using vm = new VirtualMachine({ mode: 'long', payload: guests.hello })
   * vm.vcpus[0].setSpecialRegisters({ fs: { base: 0x5000n } })
   * console.log(vm.vcpus[0].specialRegisters().fs.base) // 20480n
   * ```
   */
  setSpecialRegisters(registers: SpecialRegistersUpdate): void {
    writeSpecialRegisters(this.#machine, this.index, registers)
  }
}
