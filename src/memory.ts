import { checkInteger, checkUint64 } from './check.ts'
import { fail, invalid, take } from './errors.ts'
import { native } from './native.ts'
import type { NativeMachine } from './seam.ts'

const { maxReadBytes } = native.limits()

/**
 * Guest physical memory. `read` and `write` copy, are checked, and work at any time: in handlers and while
 * the guest runs. What lies outside every slot is `ERR_GUEST_MEMORY`, and nothing is touched.
 *
 * @example
 * ```ts
 * vm.memory.write(0x500, Buffer.from('hello'))
 * const sum = vm.memory.readUint64(0x400) // 42n
 * ```
 */
export class GuestMemory {
  readonly #machine: NativeMachine
  readonly #scratch = new DataView(new ArrayBuffer(8))
  #buffer: ArrayBuffer | undefined

  /** @internal */
  constructor(machine: NativeMachine) {
    this.#machine = machine
  }

  /**
   * The memory from address 0 on (`memoryBytes`) without a copy, always the same `ArrayBuffer`. It races
   * with a running vCPU: single bytes are old or new, wider values may be torn. `close()` detaches it.
   */
  get buffer(): ArrayBuffer {
    this.#buffer ??= take(this.#machine.memoryBuffer())
    return this.#buffer
  }

  /** A copy of `length` bytes from `gpa` on, at most 1 GiB at once. */
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

  /** Copies `bytes` to `gpa`, into read-only slots too. */
  write(gpa: number, bytes: Uint8Array): void {
    if (!(bytes instanceof Uint8Array)) return invalid('bytes', 'a Uint8Array', bytes)
    take(this.#machine.writeMemory(checkGpa(gpa), bytes))
  }

  /** The byte at `gpa`. */
  readUint8(gpa: number): number {
    return this.#load(gpa, 1).getUint8(0)
  }

  /** The 16-bit little-endian word at `gpa`. */
  readUint16(gpa: number): number {
    return this.#load(gpa, 2).getUint16(0, true)
  }

  /** The 32-bit little-endian word at `gpa`. */
  readUint32(gpa: number): number {
    return this.#load(gpa, 4).getUint32(0, true)
  }

  /** The 64-bit little-endian word at `gpa`. */
  readUint64(gpa: number): bigint {
    return this.#load(gpa, 8).getBigUint64(0, true)
  }

  /** Writes a byte, 0 to 255. */
  writeUint8(gpa: number, value: number): void {
    this.#scratch.setUint8(0, checkInteger('value', value, 0, 0xff))
    this.#store(gpa, 1)
  }

  /** Writes a 16-bit word, little-endian. */
  writeUint16(gpa: number, value: number): void {
    this.#scratch.setUint16(0, checkInteger('value', value, 0, 0xffff), true)
    this.#store(gpa, 2)
  }

  /** Writes a 32-bit word, little-endian. */
  writeUint32(gpa: number, value: number): void {
    this.#scratch.setUint32(0, checkInteger('value', value, 0, 0xffff_ffff), true)
    this.#store(gpa, 4)
  }

  /** Writes a 64-bit word, little-endian. */
  writeUint64(gpa: number, value: bigint): void {
    this.#scratch.setBigUint64(0, checkUint64('value', value), true)
    this.#store(gpa, 8)
  }

  /** @internal The buffer, if one was ever asked for. */
  get madeBuffer(): ArrayBuffer | undefined {
    return this.#buffer
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
