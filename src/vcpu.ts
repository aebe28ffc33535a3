import {
  type Registers,
  type SpecialRegisters,
  type SpecialRegistersUpdate,
  readRegisters,
  readSpecialRegisters,
  writeRegisters,
  writeSpecialRegisters,
} from './registers.ts'
import type { NativeMachine } from './seam.ts'

/** The state of one vCPU. It can be read and written while the machine does not run. */
export class Vcpu {
  /** 0 for the boot processor. */
  readonly index: number
  readonly #machine: NativeMachine

  /** @internal */
  constructor(machine: NativeMachine, index: number) {
    this.#machine = machine
    this.index = index
  }

  /** General registers, RIP and RFLAGS (`KVM_GET_REGS`). Throws `ERR_VM_BUSY` during a run. */
  registers(): Registers {
    return readRegisters(this.#machine, this.index)
  }

  /** Sets those registers that are given (`KVM_SET_REGS`); values are bigints of 64 bits. */
  setRegisters(registers: Partial<Registers>): void {
    writeRegisters(this.#machine, this.index, registers)
  }

  /** Segment, descriptor-table and control registers (`KVM_GET_SREGS`). */
  specialRegisters(): SpecialRegisters {
    return readSpecialRegisters(this.#machine, this.index)
  }

  /** Sets those special registers that are given, single fields of a segment too (`KVM_SET_SREGS`). */
  setSpecialRegisters(registers: SpecialRegistersUpdate): void {
    writeSpecialRegisters(this.#machine, this.index, registers)
  }
}
