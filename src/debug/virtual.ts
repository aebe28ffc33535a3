import { fail, take } from '../native/errors.ts'
import { native } from '../native/native.ts'
import type { NativeControlRegisters, NativeMachine } from '../native/seam.ts'
import { checkBytes, checkInteger } from '../options/check.ts'
import { type Translation, type Walk, toWalk } from '../results/walk.ts'
import type { Symbols } from './symbols.ts'

const { maxReadBytes } = native.limits()

/**
 * How a vCPU of an idle machine translates a linear address; with `control`, by these registers
 * instead of its own. A hole is no error.
 */
export function walkOf(
  machine: NativeMachine,
  vcpu: number,
  address: bigint,
  control?: NativeControlRegisters,
): Walk {
  return toWalk(address, take(machine.walk(vcpu, address, control)))
}

/**
 * Memory by linear address, as the page tables of one vCPU have it at the moment of each call.
 * Reads and writes copy, cross pages, and do not ask for the rights of a page; they set no accessed
 * or dirty flag. Without paging, a linear address is a physical one.
 *
 * A linear address is what the processor translates: a pointer of the guest's plus the base of its
 * segment, which is 0 for flat segments. What the processor still has in its TLB is not seen.
 *
 * @example
 * ```ts
 * using vm = new VirtualMachine({ mode: 'long', payload: guests.hello })
 * const { gpa, pageBytes, walk } = vm.virtual().translate(0x1234n)
 * console.log(gpa, pageBytes, walk.length) // 4660 2097152 3
 * ```
 *
 * @category Memory
 */
export class VirtualMemory {
  /** Index of the vCPU. */
  readonly vcpu: number
  readonly #machine: NativeMachine
  readonly #symbols: Symbols

  /** @internal */
  constructor(machine: NativeMachine, vcpu: number, symbols: Symbols) {
    this.vcpu = vcpu
    this.#machine = machine
    this.#symbols = symbols
  }

  /**
   * A copy of `length` bytes from a linear address on, at most 1 GiB at once.
   *
   * @throws {VmError} `ERR_GUEST_MEMORY` where no page is mapped, or one is mapped outside every
   * slot; `ERR_LIMIT` above 1 GiB, `ERR_VM_BUSY` during a run, `ERR_INVALID_OPTION`,
   * `ERR_VM_CLOSED`, `ERR_KVM_IOCTL`.
   *
   * @example
   * ```ts
   * using vm = new VirtualMachine({ mode: 'long', payload: guests.hello })
   * const { rip } = vm.registers()
   * console.log(vm.virtual().read(rip, 4).length) // 4
   * ```
   */
  read(address: bigint | string, length: number): Uint8Array {
    checkInteger('length', length, 0, Number.MAX_SAFE_INTEGER)
    const at = this.#symbols.resolve(address)
    if (length > maxReadBytes)
      return fail('ERR_LIMIT', `length must be at most ${maxReadBytes}, got ${length}`)
    const bytes = new Uint8Array(length)
    take(this.#machine.readVirtual(this.vcpu, at, bytes))
    return bytes
  }

  /**
   * Copies `bytes` to a linear address, into pages and slots that are read-only too.
   *
   * @throws {VmError} `ERR_GUEST_MEMORY` where no page is mapped, or one is mapped outside every
   * slot, and then nothing is written; `ERR_VM_BUSY` during a run, `ERR_INVALID_OPTION`,
   * `ERR_VM_CLOSED`, `ERR_KVM_IOCTL`.
   *
   * @example
   * ```ts
   * using vm = new VirtualMachine({ mode: 'long', payload: guests.hello })
   * vm.virtual().write(0x5000n, Buffer.from('hi'))
   * console.log(vm.memory.readUint16(0x5000).toString(16)) // 6968
   * ```
   */
  write(address: bigint | string, bytes: Uint8Array): void {
    const at = this.#symbols.resolve(address)
    take(this.#machine.writeVirtual(this.vcpu, at, checkBytes('bytes', bytes)))
  }

  /**
   * Where a linear address lies, what its page allows, and the entries that say so.
   *
   * @throws {VmError} `ERR_GUEST_MEMORY` where no page is mapped, naming the level that misses;
   * `ERR_VM_BUSY` during a run, `ERR_INVALID_OPTION`, `ERR_VM_CLOSED`, `ERR_KVM_IOCTL`.
   *
   * @example
   * ```ts
   * using vm = new VirtualMachine({ mode: 'long', privilege: 'user', payload: guests.hello })
   * const { user, writable, executable } = vm.virtual().translate(0x1000n)
   * console.log(user, writable, executable) // true true true
   * ```
   */
  translate(address: bigint | string): Translation {
    const at = this.#symbols.resolve(address)
    const { levels, page, miss } = walkOf(this.#machine, this.vcpu, at)
    if (!page) {
      const where = miss?.level === 'address' ? '' : ` at the ${miss?.level}`
      const what = `linear address 0x${at.toString(16)} has no page: ${miss?.why}${where}`
      return fail('ERR_GUEST_MEMORY', what)
    }
    const symbol = this.#symbols.symbolOf(at)
    return { ...page, walk: levels, ...(symbol !== undefined && { symbol }) }
  }
}
