import type { Registers } from '../../results/registers.ts'
import type { SpecialRegisters } from '../../results/special-registers.ts'
import {
  type SpecialRegistersUpdate,
  readRegisters,
  readSpecialRegisters,
  writeRegisters,
  writeSpecialRegisters,
} from '../registers.ts'
import { take } from '../../native/errors.ts'
import { type Fpu, readFpu, writeFpu } from './fpu.ts'
import {
  type DebugRegisters,
  type VcpuEvents,
  readDebugRegisters,
  readEvents,
  readMsr,
  writeDebugRegisters,
  writeMsr,
} from './state.ts'
import type { NativeMachine } from '../../native/seam.ts'

/**
 * The state of one vCPU. It can be read and written only while the machine does not run, so not in
 * handlers.
 *
 * @category Machine
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
   * General registers, RIP and RFLAGS. After an access that was answered they are those after its
   * instruction.
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
   * Sets general registers: bigints of 64 bits. Absent ones keep their value.
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

  /**
   * Registers of x87, SSE and AVX (`KVM_GET_XSAVE`).
   *
   * @throws {VmError} `ERR_VM_BUSY` during a run, `ERR_VM_CLOSED`, `ERR_KVM_IOCTL`.
   *
   * @example
   * ```ts
   * using vm = new VirtualMachine({ mode: 'long', payload: guests.hello })
   * const { mxcsr, xmm } = vm.vcpus[0].fpu()
   * console.log(mxcsr.toString(16), xmm.length) // 1f80 16
   * ```
   */
  fpu(): Fpu {
    return readFpu(this.#machine, this.index)
  }

  /**
   * Sets registers of x87, SSE and AVX (`KVM_SET_XSAVE`). Absent ones keep their value; of
   * `st`, `xmm` and `ymm` all are given.
   *
   * @throws {VmError} `ERR_VM_BUSY` during a run, `ERR_VM_CLOSED`, `ERR_KVM_IOCTL`,
   * `ERR_INVALID_OPTION`, also for `ymm` without AVX and for values that KVM refuses, such as
   * reserved bits of `mxcsr`; then no register is changed.
   *
   * @example
   * ```ts
   * using vm = new VirtualMachine({ mode: 'long', payload: guests.hello })
   * const { xmm } = vm.vcpus[0].fpu()
   * xmm[0] = 7n
   * vm.vcpus[0].setFpu({ xmm })
   * console.log(vm.vcpus[0].fpu().xmm[0]) // 7n
   * ```
   */
  setFpu(fpu: Partial<Fpu>): void {
    writeFpu(this.#machine, this.index, fpu)
  }

  /**
   * A model-specific register (`KVM_GET_MSRS`).
   *
   * @param index - Its number, such as 0xc0000081 for STAR (Intel SDM vol. 4).
   * @throws {VmError} `ERR_INVALID_OPTION` for one that KVM does not have, `ERR_VM_BUSY` during a
   * run, `ERR_VM_CLOSED`, `ERR_KVM_IOCTL`.
   *
   * @example
   * ```ts
   * using vm = new VirtualMachine({ mode: 'long', payload: guests.hello })
   * vm.vcpus[0].writeMsr(0xc0000082, 0x1000n)
   * console.log(vm.vcpus[0].readMsr(0xc0000082)) // 4096n
   * ```
   */
  readMsr(index: number): bigint {
    return readMsr(this.#machine, this.index, index)
  }

  /**
   * Sets a model-specific register (`KVM_SET_MSRS`).
   *
   * @param index - Its number, such as 0xc0000081 for STAR (Intel SDM vol. 4).
   * @param value - 64 bits.
   * @throws {VmError} `ERR_INVALID_OPTION` for one, or for a value, that KVM refuses; `ERR_VM_BUSY`
   * during a run, `ERR_VM_CLOSED`, `ERR_KVM_IOCTL`.
   *
   * @example
   * ```ts
   * using vm = new VirtualMachine({ mode: 'long', payload: guests.hello })
   * vm.vcpus[0].writeMsr(0xc0000082, 0x1000n)
   * console.log(vm.vcpus[0].readMsr(0xc0000082)) // 4096n
   * ```
   */
  writeMsr(index: number, value: bigint): void {
    writeMsr(this.#machine, this.index, index, value)
  }

  /**
   * XCR0: what XSAVE keeps, x87 in bit 0, SSE in bit 1, AVX in bit 2 (`KVM_GET_XCRS`). 0n
   * if the processor has no XSAVE.
   *
   * @throws {VmError} `ERR_VM_BUSY` during a run, `ERR_VM_CLOSED`, `ERR_KVM_IOCTL`.
   *
   * @example
   * ```ts
   * using vm = new VirtualMachine({ mode: 'long', payload: guests.hello })
   * const hasAvx = (vm.vcpus[0].xcr0() & 4n) !== 0n
   * console.log(hasAvx === (vm.vcpus[0].fpu().ymm !== undefined)) // true
   * ```
   */
  xcr0(): bigint {
    return take(this.#machine.xcr0(this.index))
  }

  /**
   * Debug registers (`KVM_GET_DEBUGREGS`).
   *
   * @throws {VmError} `ERR_VM_BUSY` during a run, `ERR_VM_CLOSED`, `ERR_KVM_IOCTL`.
   *
   * @example
   * ```ts
   * using vm = new VirtualMachine({ mode: 'long', payload: guests.hello })
   * console.log(vm.vcpus[0].debugRegisters().dr7) // 1024n
   * ```
   */
  debugRegisters(): DebugRegisters {
    return readDebugRegisters(this.#machine, this.index)
  }

  /**
   * Sets debug registers (`KVM_SET_DEBUGREGS`): bigints, of which `dr6` and `dr7` have 32
   * bits. Absent ones keep their value.
   *
   * @throws {VmError} `ERR_INVALID_OPTION`, `ERR_VM_BUSY` during a run, `ERR_VM_CLOSED`,
   * `ERR_KVM_IOCTL`; then no register is changed.
   *
   * @example
   * ```ts
   * using vm = new VirtualMachine({ mode: 'long', payload: guests.hello })
   * vm.vcpus[0].setDebugRegisters({ dr0: 0x1000n })
   * console.log(vm.vcpus[0].debugRegisters().dr0) // 4096n
   * ```
   */
  setDebugRegisters(registers: Partial<DebugRegisters>): void {
    writeDebugRegisters(this.#machine, this.index, registers)
  }

  /**
   * What waits to be injected into the guest: an exception, interrupts, an NMI
   * (`KVM_GET_VCPU_EVENTS`).
   *
   * @throws {VmError} `ERR_VM_BUSY` during a run, `ERR_VM_CLOSED`, `ERR_KVM_IOCTL`.
   *
   * @example
   * ```ts
   * using vm = new VirtualMachine({ mode: 'long', payload: guests.hello })
   * vm.interrupt(0x20)
   * console.log(vm.vcpus[0].events().interrupt.queued) // [ 32 ]
   * ```
   */
  events(): VcpuEvents {
    return readEvents(this.#machine, this.index)
  }
}
