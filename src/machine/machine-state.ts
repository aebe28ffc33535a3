import { checkInteger } from '../options/check.ts'
import { type Counters, readCounters } from './counters.ts'
import { take } from '../native/errors.ts'
import { IrqLine } from './irq.ts'
import type { Loaded } from './loaded.ts'
import { GuestMemory } from './memory.ts'
import {
  type DisassembleOptions,
  checkDisassembleOptions,
  disassembleAt,
} from '../debug/disassemble.ts'
import type { StopHandlers } from '../debug/stops/handlers.ts'
import type { Symbols } from '../debug/symbols.ts'
import type { Instruction } from '../results/instruction.ts'
import type { Registers } from '../results/registers.ts'
import type { SpecialRegisters } from '../results/special-registers.ts'
import type { SpecialRegistersUpdate } from './registers.ts'
import type { NativeMachine } from '../native/seam.ts'
import { VirtualMemory } from '../debug/virtual.ts'
import { Vcpu } from './vcpu/vcpu.ts'
import type { Fpu } from './vcpu/fpu.ts'
import type { DebugRegisters, VcpuEvents } from './vcpu/state.ts'

/** The vCPUs of a machine, the names of what they run, and their stops. @internal */
export interface Processors {
  readonly vcpus: number
  readonly symbols: Symbols
  readonly stops: StopHandlers
}

/**
 * The state of a machine at any moment: memory, registers, counts, and the interrupts that reach
 * it.
 *
 * @category Machine
 */
export abstract class MachineState {
  /** Guest physical memory; after `close()` every access is `ERR_VM_CLOSED`. */
  readonly memory: GuestMemory
  /** The vCPUs, by index. */
  readonly vcpus: readonly [Vcpu, ...Vcpu[]]
  readonly #machine: NativeMachine
  readonly #symbols: Symbols

  /** @internal */
  constructor(machine: NativeMachine, { vcpus, symbols }: Processors) {
    this.#machine = machine
    this.#symbols = symbols
    this.memory = new GuestMemory(machine)
    const others = Array.from({ length: vcpus - 1 }, (_, index) => new Vcpu(machine, index + 1))
    this.vcpus = [new Vcpu(machine, 0), ...others]
  }

  /**
   * General registers, RIP and RFLAGS of vCPU 0. After an access that was answered they are those
   * after its instruction.
   *
   * @throws {VmError} `ERR_VM_BUSY` during a run, `ERR_VM_CLOSED`, `ERR_KVM_IOCTL`.
   *
   * @example
   * ```ts
   * using vm = new VirtualMachine({ mode: 'long', payload: guests.hello })
   * vm.runSync({ onExit: () => undefined })
   * console.log(vm.registers().rax) // 42n
   * ```
   */
  registers(): Registers {
    return this.vcpus[0].registers()
  }

  /**
   * Sets general registers of vCPU 0: bigints of 64 bits. Absent ones keep their value.
   *
   * @throws {VmError} `ERR_VM_BUSY` during a run, `ERR_UNANSWERED_READ` after an unclaimed read,
   * `ERR_VM_CLOSED`, `ERR_INVALID_OPTION`, `ERR_KVM_IOCTL`; then no register is changed.
   *
   * @example
   * ```ts
   * using vm = new VirtualMachine({ mode: 'long', payload: guests.hello })
   * vm.setRegisters({ rbx: 7n })
   * console.log(vm.registers().rbx) // 7n
   * ```
   */
  setRegisters(registers: Partial<Registers>): void {
    this.vcpus[0].setRegisters(registers)
  }

  /**
   * Segment, descriptor-table and control registers of vCPU 0 (`KVM_GET_SREGS`).
   *
   * @throws {VmError} `ERR_VM_BUSY` during a run, `ERR_VM_CLOSED`, `ERR_KVM_IOCTL`.
   *
   * @example
   * ```ts
   * using vm = new VirtualMachine({ mode: 'long', payload: guests.hello })
   * const { cs, efer } = vm.specialRegisters()
   * console.log(cs.l, (efer & 0x400n) !== 0n) // 1 true
   * ```
   */
  specialRegisters(): SpecialRegisters {
    return this.vcpus[0].specialRegisters()
  }

  /**
   * Sets special registers of vCPU 0, single fields of a segment too (`KVM_SET_SREGS`). Absent ones
   * keep their value. If KVM refuses the state, the error is `ERR_KVM_IOCTL`; if the processor
   * refuses it, the next run ends with `fail-entry` or `shutdown`.
   *
   * @throws {VmError} `ERR_VM_BUSY` during a run, `ERR_UNANSWERED_READ` after an unclaimed read,
   * `ERR_VM_CLOSED`, `ERR_INVALID_OPTION`, `ERR_KVM_IOCTL`; then no register is changed.
   *
   * @example
   * ```ts
   * using vm = new VirtualMachine({ mode: 'long', payload: guests.hello })
   * vm.setSpecialRegisters({ fs: { base: 0x5000n } })
   * console.log(vm.specialRegisters().fs.base) // 20480n
   * ```
   */
  setSpecialRegisters(registers: SpecialRegistersUpdate): void {
    this.vcpus[0].setSpecialRegisters(registers)
  }

  /**
   * Registers of vCPU 0 of x87, SSE and AVX (`KVM_GET_XSAVE`).
   *
   * @throws {VmError} `ERR_VM_BUSY` during a run, `ERR_VM_CLOSED`, `ERR_KVM_IOCTL`.
   *
   * @example
   * ```ts
   * using vm = new VirtualMachine({ mode: 'long', payload: guests.hello })
   * const { mxcsr, xmm } = vm.fpu()
   * console.log(mxcsr.toString(16), xmm.length) // 1f80 16
   * ```
   */
  fpu(): Fpu {
    return this.vcpus[0].fpu()
  }

  /**
   * Sets registers of vCPU 0 of x87, SSE and AVX (`KVM_SET_XSAVE`). Absent ones keep their value;
   * of `st`, `xmm` and `ymm` all are given.
   *
   * @throws {VmError} `ERR_VM_BUSY` during a run, `ERR_VM_CLOSED`, `ERR_KVM_IOCTL`,
   * `ERR_INVALID_OPTION`, also for `ymm` without AVX and for values that KVM refuses, such as
   * reserved bits of `mxcsr`; then no register is changed.
   *
   * @example
   * ```ts
   * using vm = new VirtualMachine({ mode: 'long', payload: guests.hello })
   * const { xmm } = vm.fpu()
   * xmm[0] = 7n
   * vm.setFpu({ xmm })
   * console.log(vm.fpu().xmm[0]) // 7n
   * ```
   */
  setFpu(fpu: Partial<Fpu>): void {
    this.vcpus[0].setFpu(fpu)
  }

  /**
   * A model-specific register of vCPU 0 (`KVM_GET_MSRS`).
   *
   * @param index - Its number, such as 0xc0000081 for STAR (Intel SDM vol. 4).
   * @throws {VmError} `ERR_INVALID_OPTION` for one that KVM does not have, `ERR_VM_BUSY` during a
   * run, `ERR_VM_CLOSED`, `ERR_KVM_IOCTL`.
   *
   * @example
   * ```ts
   * using vm = new VirtualMachine({ mode: 'long', payload: guests.hello })
   * vm.writeMsr(0xc0000082, 0x1000n)
   * console.log(vm.readMsr(0xc0000082)) // 4096n
   * ```
   */
  readMsr(index: number): bigint {
    return this.vcpus[0].readMsr(index)
  }

  /**
   * Sets a model-specific register of vCPU 0 (`KVM_SET_MSRS`).
   *
   * @param index - Its number, such as 0xc0000081 for STAR (Intel SDM vol. 4).
   * @param value - 64 bits.
   * @throws {VmError} `ERR_INVALID_OPTION` for one, or for a value, that KVM refuses; `ERR_VM_BUSY`
   * during a run, `ERR_VM_CLOSED`, `ERR_KVM_IOCTL`.
   *
   * @example
   * ```ts
   * using vm = new VirtualMachine({ mode: 'long', payload: guests.hello })
   * vm.writeMsr(0xc0000082, 0x1000n)
   * console.log(vm.readMsr(0xc0000082)) // 4096n
   * ```
   */
  writeMsr(index: number, value: bigint): void {
    this.vcpus[0].writeMsr(index, value)
  }

  /**
   * XCR0 of vCPU 0: what XSAVE keeps, x87 in bit 0, SSE in bit 1, AVX in bit 2 (`KVM_GET_XCRS`). 0n
   * if the processor has no XSAVE.
   *
   * @throws {VmError} `ERR_VM_BUSY` during a run, `ERR_VM_CLOSED`, `ERR_KVM_IOCTL`.
   *
   * @example
   * ```ts
   * using vm = new VirtualMachine({ mode: 'long', payload: guests.hello })
   * const hasAvx = (vm.xcr0() & 4n) !== 0n
   * console.log(hasAvx === (vm.fpu().ymm !== undefined)) // true
   * ```
   */
  xcr0(): bigint {
    return this.vcpus[0].xcr0()
  }

  /**
   * Debug registers of vCPU 0 (`KVM_GET_DEBUGREGS`).
   *
   * @throws {VmError} `ERR_VM_BUSY` during a run, `ERR_VM_CLOSED`, `ERR_KVM_IOCTL`.
   *
   * @example
   * ```ts
   * using vm = new VirtualMachine({ mode: 'long', payload: guests.hello })
   * console.log(vm.debugRegisters().dr7) // 1024n
   * ```
   */
  debugRegisters(): DebugRegisters {
    return this.vcpus[0].debugRegisters()
  }

  /**
   * Sets debug registers of vCPU 0 (`KVM_SET_DEBUGREGS`): bigints, of which `dr6` and `dr7` have 32
   * bits. Absent ones keep their value.
   *
   * @throws {VmError} `ERR_INVALID_OPTION`, `ERR_VM_BUSY` during a run, `ERR_VM_CLOSED`,
   * `ERR_KVM_IOCTL`; then no register is changed.
   *
   * @example
   * ```ts
   * using vm = new VirtualMachine({ mode: 'long', payload: guests.hello })
   * vm.setDebugRegisters({ dr0: 0x1000n })
   * console.log(vm.debugRegisters().dr0) // 4096n
   * ```
   */
  setDebugRegisters(registers: Partial<DebugRegisters>): void {
    this.vcpus[0].setDebugRegisters(registers)
  }

  /**
   * What waits to be injected into vCPU 0: an exception, interrupts, an NMI
   * (`KVM_GET_VCPU_EVENTS`).
   *
   * @throws {VmError} `ERR_VM_BUSY` during a run, `ERR_VM_CLOSED`, `ERR_KVM_IOCTL`.
   *
   * @example
   * ```ts
   * using vm = new VirtualMachine({ mode: 'long', payload: guests.hello })
   * vm.interrupt(0x20)
   * console.log(vm.events().interrupt.queued) // [ 32 ]
   * ```
   */
  events(): VcpuEvents {
    return this.vcpus[0].events()
  }

  /**
   * Memory by linear address, as the page tables of a vCPU have it. Addresses may be symbols of the
   * image: `'main+0x12'`.
   *
   * @param vcpu - Index of the vCPU, default 0.
   * @throws {VmError} `ERR_INVALID_OPTION`.
   *
   * @example
   * ```ts
   * using vm = new VirtualMachine({ mode: 'long', payload: guests.hello })
   * console.log(vm.virtual().translate(0x500n).gpa === 0x500) // true
   * ```
   */
  virtual(vcpu = 0): VirtualMemory {
    const index = checkInteger('vcpu', vcpu, 0, this.vcpus.length - 1)
    return new VirtualMemory(this.#machine, index, this.#symbols)
  }

  /**
   * The instructions from a linear address on, in the mode that the vCPU is in. Where the image is
   * an ELF with symbols, they have names, and the address may be one: `'main+0x12'`. Fewer than
   * `count` come where no more memory is mapped.
   *
   * @param address - A linear address, which with flat segments is RIP; else CS.base is added.
   * @param count - How many, 1 to 65536.
   * @param options - `vcpu`: the index of the vCPU, default 0.
   * @throws {VmError} `ERR_GUEST_MEMORY` when nothing is mapped there, `ERR_VM_BUSY` during a run,
   * `ERR_VM_CLOSED`, `ERR_INVALID_OPTION`, `ERR_KVM_IOCTL`.
   *
   * @example
   * ```ts
   * const image = Uint8Array.of(0xb8, 0x2a, 0, 0, 0, 0xf4)
   * using vm = new VirtualMachine({ mode: 'long', payload: { image } })
   * const code = vm.disassemble(vm.registers().rip, 2)
   * console.log(code.map(({ text }) => text)) // [ 'mov eax, 0x2a', 'hlt' ]
   * ```
   */
  disassemble(
    address: bigint | string,
    count = 8,
    options: DisassembleOptions = {},
  ): Instruction[] {
    const vcpu = checkDisassembleOptions(options, this.vcpus.length)
    const special = this.vcpus[vcpu]!.specialRegisters()
    return disassembleAt(this.virtual(vcpu), special, address, count, this.#symbols)
  }

  /**
   * What was put into memory before the first instruction, and where.
   *
   * @example
   * ```ts
   * const image = Uint8Array.of(0xf4) // hlt
   * using vm = new VirtualMachine({ mode: 'real', payload: { image, loadGpa: 0x7c00 } })
   * console.log(vm.loaded.format, vm.loaded.parts[0]?.gpa === 0x7c00) // flat true
   * ```
   */
  get loaded(): Loaded {
    return this.#machine.loaded()
  }

  /**
   * An interrupt line of a machine with an irqchip, 0 to 23.
   *
   * @param line - 0 to 15 reach the PIC and the IOAPIC, 16 to 23 the IOAPIC.
   * @throws {VmError} `ERR_INVALID_OPTION` for another number; without an irqchip, when the line is
   * set.
   * @example
   * ```ts
   * using vm = new VirtualMachine({ mode: 'long', irqchip: true, payload: guests.hello })
   * vm.irq(4).pulse()
   * console.log(vm.irq(4).line) // 4
   * ```
   */
  irq(line: number): IrqLine {
    return new IrqLine(this.#machine, line)
  }

  /**
   * Interrupts a vCPU of a machine without an irqchip as soon as its guest takes interrupts (KVM
   * API, `KVM_INTERRUPT`). It may be called at any time; up to 256 vectors wait. A waiting vector
   * ends a `hlt` that follows `sti`, which then is no exit.
   *
   * @param vector - 0 to 255, the entry of the interrupt table.
   * @param vcpu - Index of the vCPU, default 0.
   * @throws {VmError} `ERR_INVALID_OPTION`, `ERR_LIMIT` when too many wait, `ERR_VM_CLOSED`.
   * @example
   * ```ts
   * // sti; hlt; jmp -3, and at 0x1100 an iret
   * const image = Uint8Array.of(0xfb, 0xf4, 0xeb, 0xfd)
   * using vm = new VirtualMachine({ mode: 'real', payload: { image, loadGpa: 0x1000 } })
   * vm.memory.writeUint32(0x20 * 4, 0x1100)
   * vm.memory.writeUint8(0x1100, 0xcf)
   * console.log(vm.runSync().reason) // hlt
   * vm.interrupt(0x20)
   * console.log(vm.runSync().exits) // 1
   * ```
   */
  interrupt(vector: number, vcpu = 0): void {
    const index = checkInteger('vcpu', vcpu, 0, this.vcpus.length - 1)
    take(this.#machine.interrupt(index, checkInteger('vector', vector, 0, 255)))
  }

  /**
   * Interrupts a vCPU by vector 2, even if it does not take interrupts (KVM API, `KVM_NMI`). An NMI
   * raised before the last one was taken is merged with it.
   *
   * @param vcpu - Index of the vCPU, default 0.
   * @throws {VmError} `ERR_INVALID_OPTION`, `ERR_VM_CLOSED`.
   * @example
   * ```ts
   * using vm = new VirtualMachine({ mode: 'long', payload: guests.hello })
   * vm.nmi()
   * console.log(vm.runSync({ onExit: () => undefined }).reason) // shutdown
   * ```
   */
  nmi(vcpu = 0): void {
    take(this.#machine.nmi(checkInteger('vcpu', vcpu, 0, this.vcpus.length - 1)))
  }

  /**
   * The counts since the machine was made. It can be called while the machine runs, and after
   * `close()`.
   *
   * @example
   * ```ts
   * using vm = new VirtualMachine({ mode: 'long', payload: guests.hello })
   * vm.runSync({ onExit: () => undefined })
   * console.log(vm.counters().exits['pio-out'], vm.counters().exits.hlt) // 14 1
   * ```
   */
  counters(): Counters {
    return readCounters(this.#machine)
  }
}
