import { checkBytes, checkInteger, checkUint64, noteGuestBuffer } from '../options/check.ts'
import { fail, invalid, take } from '../native/errors.ts'
import { native } from '../native/native.ts'
import type { NativeMachine } from '../native/seam.ts'

const { maxReadBytes } = native.limits()

/** Drops a closed machine's buffer, which cannot be asked for any more. */
export let forgetBuffer: (memory: GuestMemory) => void

/**
 * Guest physical memory. `read` and `write` copy, are checked, and work at any time: in handlers
 * and while the guest runs. An access outside every slot is `ERR_GUEST_MEMORY`, and touches
 * nothing. An access may span slots that lie side by side.
 *
 * @example
 * ```ts
 * using vm = new VirtualMachine({ mode: 'long', payload: guests.hello })
 * vm.runSync({ onExit: () => undefined })
 * console.log(vm.memory.readUint64(0x400)) // 42n
 * ```
 *
 * @category Memory
 */
export class GuestMemory {
  static {
    forgetBuffer = (memory) => (memory.#buffer = undefined)
  }

  readonly #machine: NativeMachine
  readonly #scratch = new DataView(new ArrayBuffer(8))
  #buffer: ArrayBuffer | undefined

  /** @internal */
  constructor(machine: NativeMachine) {
    this.#machine = machine
  }

  /**
   * The memory from address 0 on (`memoryBytes`) without a copy, always the same `ArrayBuffer`. It
   * races with a running vCPU: single bytes are old or new, wider values may be torn.
   * `structuredClone` of it copies all of the memory.
   *
   * `close()` empties it: a buffer that is still referenced keeps its length, reads as zeros, and
   * is connected to no guest any more. Later writes, such as those of `zlib` or `fs` to a view,
   * take memory until the buffer is collected.
   *
   * Once it was read, `vm.restore()` also looks for what was written through it.
   *
   * @throws {VmError} `ERR_VM_CLOSED`.
   *
   * @example
   * ```ts
   * using vm = new VirtualMachine({ mode: 'long', payload: guests.hello })
   * const bytes = new Uint8Array(vm.memory.buffer)
   * vm.memory.writeUint8(0x500, 7)
   * console.log(bytes.length, bytes[0x500]) // 2097152 7
   * ```
   */
  get buffer(): ArrayBuffer {
    if (!this.#buffer) {
      this.#buffer = take(this.#machine.memoryBuffer())
      noteGuestBuffer(this.#buffer)
    }
    return this.#buffer
  }

  /**
   * A copy of `length` bytes from `gpa` on, at most 1 GiB at once.
   *
   * @throws {VmError} `ERR_GUEST_MEMORY` outside every slot, `ERR_LIMIT` above 1 GiB,
   * `ERR_INVALID_OPTION`, `ERR_VM_CLOSED`.
   *
   * @example
   * ```ts
   * using vm = new VirtualMachine({ mode: 'long', payload: guests.hello })
   * vm.memory.writeUint32(0x500, 0x11223344)
   * console.log(vm.memory.read(0x500, 4)) // Uint8Array(4) [ 68, 51, 34, 17 ]
   * ```
   */
  read(gpa: number, length: number): Uint8Array {
    checkInteger('length', length, 0, Number.MAX_SAFE_INTEGER)
    take(this.#machine.checkMemory(checkGpa(gpa), length))
    if (length > maxReadBytes) {
      return fail(
        'ERR_LIMIT',
        `length must be at most ${maxReadBytes}, got ${length}; read in parts, or use buffer`,
      )
    }
    const bytes = new Uint8Array(length)
    take(this.#machine.readMemory(gpa, bytes))
    return bytes
  }

  /**
   * Copies `bytes` to `gpa`, into read-only slots too.
   *
   * @throws {VmError} `ERR_GUEST_MEMORY` outside every slot, `ERR_INVALID_OPTION`, `ERR_VM_CLOSED`.
   *
   * @example
   * ```ts
   * using vm = new VirtualMachine({ mode: 'long', payload: guests.hello })
   * vm.memory.write(0x500, Buffer.from('hi'))
   * console.log(vm.memory.readUint16(0x500).toString(16)) // 6968
   * ```
   */
  write(gpa: number, bytes: Uint8Array): void {
    take(this.#machine.writeMemory(checkGpa(gpa), checkBytes('bytes', bytes)))
  }

  /**
   * The byte at `gpa`, 0 to 255.
   *
   * @throws {VmError} `ERR_GUEST_MEMORY` outside every slot, `ERR_INVALID_OPTION`, `ERR_VM_CLOSED`.
   *
   * @example
   * ```ts
   * using vm = new VirtualMachine({ mode: 'long', payload: guests.hello })
   * vm.memory.writeUint8(0x500, 0xff)
   * console.log(vm.memory.readUint8(0x500)) // 255
   * ```
   */
  readUint8(gpa: number): number {
    return this.#load(gpa, 1).getUint8(0)
  }

  /**
   * The 16-bit little-endian word at `gpa`, 0 to 65535.
   *
   * @throws {VmError} `ERR_GUEST_MEMORY` outside every slot, `ERR_INVALID_OPTION`, `ERR_VM_CLOSED`.
   *
   * @example
   * ```ts
   * using vm = new VirtualMachine({ mode: 'long', payload: guests.hello })
   * vm.memory.writeUint16(0x500, 0xbeef)
   * console.log(vm.memory.readUint16(0x500)) // 48879
   * ```
   */
  readUint16(gpa: number): number {
    return this.#load(gpa, 2).getUint16(0, true)
  }

  /**
   * The 32-bit little-endian word at `gpa`, 0 to 2^32 - 1.
   *
   * @throws {VmError} `ERR_GUEST_MEMORY` outside every slot, `ERR_INVALID_OPTION`, `ERR_VM_CLOSED`.
   *
   * @example
   * ```ts
   * using vm = new VirtualMachine({ mode: 'long', payload: guests.hello })
   * vm.memory.writeUint32(0x500, 0xdeadbeef)
   * console.log(vm.memory.readUint32(0x500)) // 3735928559
   * ```
   */
  readUint32(gpa: number): number {
    return this.#load(gpa, 4).getUint32(0, true)
  }

  /**
   * The 64-bit little-endian word at `gpa`, 0 to 2^64 - 1 as a bigint.
   *
   * @throws {VmError} `ERR_GUEST_MEMORY` outside every slot, `ERR_INVALID_OPTION`, `ERR_VM_CLOSED`.
   *
   * @example
   * ```ts
   * using vm = new VirtualMachine({ mode: 'long', payload: guests.hello })
   * vm.memory.writeUint64(0x500, 1n << 40n)
   * console.log(vm.memory.readUint64(0x500)) // 1099511627776n
   * ```
   */
  readUint64(gpa: number): bigint {
    return this.#load(gpa, 8).getBigUint64(0, true)
  }

  /**
   * Writes a byte, 0 to 255.
   *
   * @throws {VmError} `ERR_GUEST_MEMORY` outside every slot, `ERR_INVALID_OPTION`, `ERR_VM_CLOSED`.
   *
   * @example
   * ```ts
   * using vm = new VirtualMachine({ mode: 'long', payload: guests.hello })
   * vm.memory.writeUint8(0x500, 0xff)
   * console.log(vm.memory.readUint8(0x500)) // 255
   * ```
   */
  writeUint8(gpa: number, value: number): void {
    this.#scratch.setUint8(0, checkInteger('value', value, 0, 0xff))
    this.#store(gpa, 1)
  }

  /**
   * Writes a 16-bit little-endian word, 0 to 65535.
   *
   * @throws {VmError} `ERR_GUEST_MEMORY` outside every slot, `ERR_INVALID_OPTION`, `ERR_VM_CLOSED`.
   *
   * @example
   * ```ts
   * using vm = new VirtualMachine({ mode: 'long', payload: guests.hello })
   * vm.memory.writeUint16(0x500, 0xbeef)
   * console.log(vm.memory.readUint16(0x500)) // 48879
   * ```
   */
  writeUint16(gpa: number, value: number): void {
    this.#scratch.setUint16(0, checkInteger('value', value, 0, 0xffff), true)
    this.#store(gpa, 2)
  }

  /**
   * Writes a 32-bit little-endian word, 0 to 2^32 - 1.
   *
   * @throws {VmError} `ERR_GUEST_MEMORY` outside every slot, `ERR_INVALID_OPTION`, `ERR_VM_CLOSED`.
   *
   * @example
   * ```ts
   * using vm = new VirtualMachine({ mode: 'long', payload: guests.hello })
   * vm.memory.writeUint32(0x500, 0xdeadbeef)
   * console.log(vm.memory.readUint32(0x500)) // 3735928559
   * ```
   */
  writeUint32(gpa: number, value: number): void {
    this.#scratch.setUint32(0, checkInteger('value', value, 0, 0xffff_ffff), true)
    this.#store(gpa, 4)
  }

  /**
   * Writes a 64-bit little-endian word, 0 to 2^64 - 1 as a bigint.
   *
   * @throws {VmError} `ERR_GUEST_MEMORY` outside every slot, `ERR_INVALID_OPTION`, `ERR_VM_CLOSED`.
   *
   * @example
   * ```ts
   * using vm = new VirtualMachine({ mode: 'long', payload: guests.hello })
   * vm.memory.writeUint64(0x500, 1n << 40n)
   * console.log(vm.memory.readUint64(0x500)) // 1099511627776n
   * ```
   */
  writeUint64(gpa: number, value: bigint): void {
    this.#scratch.setBigUint64(0, checkUint64('value', value), true)
    this.#store(gpa, 8)
  }

  #load(gpa: number, length: number): DataView {
    take(this.#machine.readMemory(checkGpa(gpa), this.#bytes(length)))
    return this.#scratch
  }

  #store(gpa: number, length: number): void {
    take(this.#machine.writeMemory(checkGpa(gpa), this.#bytes(length)))
  }

  #bytes(length: number): Uint8Array {
    return new Uint8Array(this.#scratch.buffer, 0, length)
  }
}

function checkGpa(gpa: unknown): number {
  if (typeof gpa !== 'number' || !Number.isInteger(gpa))
    return invalid('gpa', 'a whole number', gpa)
  if (gpa < 0 || !Number.isSafeInteger(gpa)) {
    return fail('ERR_GUEST_MEMORY', `gpa ${gpa} is outside guest memory`)
  }
  return gpa
}
