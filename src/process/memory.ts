import { fail } from '../native/errors.ts'
import { native } from '../native/native.ts'
import { checkBytes, checkInteger, checkUint64, steady } from '../options/check.ts'
import type { Engine } from './engine/types.ts'

const { maxReadBytes } = native.limits()

/**
 * A library's memory by its own addresses, which are numbers or bigints. `read` and `write` copy,
 * and reach what the library itself could: anything else is `ERR_GUEST_MEMORY`, and nothing is
 * touched. They work between calls and in imports; while the library runs for `lib.async` they are
 * `ERR_VM_BUSY`.
 *
 * @example
 * ```ts
 * import { readFile } from 'node:fs/promises'
 * import { instantiate } from 'vmexit/process'
 *
 * using lib = await instantiate(await readFile('lib.elf'))
 * const at = lib.alloc(8)
 * lib.memory.writeUint64(at, 42n)
 * console.log(lib.memory.readUint8(at)) // 42
 * ```
 *
 * @category Process
 */
export class LibraryMemory {
  readonly #engine: Pick<Engine, 'read' | 'write'>
  readonly #scratch = new DataView(new ArrayBuffer(8))

  /** @internal */
  constructor(engine: Pick<Engine, 'read' | 'write'>) {
    this.#engine = engine
  }

  /**
   * A copy of `length` bytes, at most 1 GiB at once.
   *
   * @throws {VmError} `ERR_GUEST_MEMORY` unless the library could read all of it, `ERR_LIMIT` above
   * 1 GiB, `ERR_INVALID_OPTION`, `ERR_VM_BUSY`, `ERR_VM_CLOSED`.
   *
   * @example
   * ```ts
   * import { readFile } from 'node:fs/promises'
   * import { instantiate } from 'vmexit/process'
   *
   * using lib = await instantiate(await readFile('lib.elf'))
   * const at = lib.alloc(4)
   * lib.memory.writeUint32(at, 0x11223344)
   * console.log(lib.memory.read(at, 4)) // Uint8Array(4) [ 68, 51, 34, 17 ]
   * ```
   */
  read(address: number | bigint, length: number): Uint8Array {
    checkInteger('length', length, 0, Number.MAX_SAFE_INTEGER)
    const at = checkUint64('address', address, true)
    if (length <= maxReadBytes) return this.#engine.read(at, length)
    return fail('ERR_LIMIT', `length must be at most ${maxReadBytes}, got ${length}`)
  }

  /**
   * Copies `bytes` in, all of them or none.
   *
   * @throws {VmError} `ERR_GUEST_MEMORY` unless the library could write all of it,
   * `ERR_INVALID_OPTION`, `ERR_VM_BUSY`, `ERR_VM_CLOSED`.
   *
   * @example
   * ```ts
   * import { readFile } from 'node:fs/promises'
   * import { instantiate } from 'vmexit/process'
   *
   * using lib = await instantiate(await readFile('lib.elf'))
   * const at = lib.alloc(2)
   * lib.memory.write(at, Buffer.from('hi'))
   * console.log(lib.memory.readUint16(at).toString(16)) // 6968
   * ```
   */
  write(address: number | bigint, bytes: Uint8Array): void {
    const at = checkUint64('address', address, true)
    this.#engine.write(at, steady(checkBytes('bytes', bytes)))
  }

  /**
   * The byte, 0 to 255.
   *
   * @throws {VmError} `ERR_GUEST_MEMORY` unless the library could read it, `ERR_INVALID_OPTION`,
   * `ERR_VM_BUSY`, `ERR_VM_CLOSED`.
   *
   * @example
   * ```ts
   * import { readFile } from 'node:fs/promises'
   * import { instantiate } from 'vmexit/process'
   *
   * using lib = await instantiate(await readFile('lib.elf'))
   * const at = lib.alloc(8)
   * lib.memory.writeUint8(at, 0xff)
   * console.log(lib.memory.readUint8(at)) // 255
   * ```
   */
  readUint8(address: number | bigint): number {
    return this.#load(address, 1).getUint8(0)
  }

  /**
   * The 16-bit little-endian word, 0 to 65535.
   *
   * @throws {VmError} `ERR_GUEST_MEMORY` unless the library could read it, `ERR_INVALID_OPTION`,
   * `ERR_VM_BUSY`, `ERR_VM_CLOSED`.
   *
   * @example
   * ```ts
   * import { readFile } from 'node:fs/promises'
   * import { instantiate } from 'vmexit/process'
   *
   * using lib = await instantiate(await readFile('lib.elf'))
   * const at = lib.alloc(8)
   * lib.memory.writeUint16(at, 0xbeef)
   * console.log(lib.memory.readUint16(at)) // 48879
   * ```
   */
  readUint16(address: number | bigint): number {
    return this.#load(address, 2).getUint16(0, true)
  }

  /**
   * The 32-bit little-endian word, 0 to 2^32 - 1.
   *
   * @throws {VmError} `ERR_GUEST_MEMORY` unless the library could read it, `ERR_INVALID_OPTION`,
   * `ERR_VM_BUSY`, `ERR_VM_CLOSED`.
   *
   * @example
   * ```ts
   * import { readFile } from 'node:fs/promises'
   * import { instantiate } from 'vmexit/process'
   *
   * using lib = await instantiate(await readFile('lib.elf'))
   * const at = lib.alloc(8)
   * lib.memory.writeUint32(at, 0xdeadbeef)
   * console.log(lib.memory.readUint32(at)) // 3735928559
   * ```
   */
  readUint32(address: number | bigint): number {
    return this.#load(address, 4).getUint32(0, true)
  }

  /**
   * The 64-bit little-endian word, 0 to 2^64 - 1 as a bigint.
   *
   * @throws {VmError} `ERR_GUEST_MEMORY` unless the library could read it, `ERR_INVALID_OPTION`,
   * `ERR_VM_BUSY`, `ERR_VM_CLOSED`.
   *
   * @example
   * ```ts
   * import { readFile } from 'node:fs/promises'
   * import { instantiate } from 'vmexit/process'
   *
   * using lib = await instantiate(await readFile('lib.elf'))
   * const at = lib.alloc(8)
   * lib.memory.writeUint64(at, 1n << 40n)
   * console.log(lib.memory.readUint64(at)) // 1099511627776n
   * ```
   */
  readUint64(address: number | bigint): bigint {
    return this.#load(address, 8).getBigUint64(0, true)
  }

  /**
   * Writes a byte, 0 to 255.
   *
   * @throws {VmError} `ERR_GUEST_MEMORY` unless the library could write it, `ERR_INVALID_OPTION`,
   * `ERR_VM_BUSY`, `ERR_VM_CLOSED`.
   *
   * @example
   * ```ts
   * import { readFile } from 'node:fs/promises'
   * import { instantiate } from 'vmexit/process'
   *
   * using lib = await instantiate(await readFile('lib.elf'))
   * const at = lib.alloc(8)
   * lib.memory.writeUint8(at, 0xff)
   * console.log(lib.memory.readUint8(at)) // 255
   * ```
   */
  writeUint8(address: number | bigint, value: number): void {
    this.#scratch.setUint8(0, checkInteger('value', value, 0, 0xff))
    this.#store(address, 1)
  }

  /**
   * Writes a 16-bit little-endian word, 0 to 65535.
   *
   * @throws {VmError} `ERR_GUEST_MEMORY` unless the library could write it, `ERR_INVALID_OPTION`,
   * `ERR_VM_BUSY`, `ERR_VM_CLOSED`.
   *
   * @example
   * ```ts
   * import { readFile } from 'node:fs/promises'
   * import { instantiate } from 'vmexit/process'
   *
   * using lib = await instantiate(await readFile('lib.elf'))
   * const at = lib.alloc(8)
   * lib.memory.writeUint16(at, 0xbeef)
   * console.log(lib.memory.readUint16(at)) // 48879
   * ```
   */
  writeUint16(address: number | bigint, value: number): void {
    this.#scratch.setUint16(0, checkInteger('value', value, 0, 0xffff), true)
    this.#store(address, 2)
  }

  /**
   * Writes a 32-bit little-endian word, 0 to 2^32 - 1.
   *
   * @throws {VmError} `ERR_GUEST_MEMORY` unless the library could write it, `ERR_INVALID_OPTION`,
   * `ERR_VM_BUSY`, `ERR_VM_CLOSED`.
   *
   * @example
   * ```ts
   * import { readFile } from 'node:fs/promises'
   * import { instantiate } from 'vmexit/process'
   *
   * using lib = await instantiate(await readFile('lib.elf'))
   * const at = lib.alloc(8)
   * lib.memory.writeUint32(at, 0xdeadbeef)
   * console.log(lib.memory.readUint32(at)) // 3735928559
   * ```
   */
  writeUint32(address: number | bigint, value: number): void {
    this.#scratch.setUint32(0, checkInteger('value', value, 0, 0xffff_ffff), true)
    this.#store(address, 4)
  }

  /**
   * Writes a 64-bit little-endian word, 0 to 2^64 - 1 as a bigint.
   *
   * @throws {VmError} `ERR_GUEST_MEMORY` unless the library could write it, `ERR_INVALID_OPTION`,
   * `ERR_VM_BUSY`, `ERR_VM_CLOSED`.
   *
   * @example
   * ```ts
   * import { readFile } from 'node:fs/promises'
   * import { instantiate } from 'vmexit/process'
   *
   * using lib = await instantiate(await readFile('lib.elf'))
   * const at = lib.alloc(8)
   * lib.memory.writeUint64(at, 1n << 40n)
   * console.log(lib.memory.readUint64(at)) // 1099511627776n
   * ```
   */
  writeUint64(address: number | bigint, value: bigint): void {
    this.#scratch.setBigUint64(0, checkUint64('value', value), true)
    this.#store(address, 8)
  }

  #load(address: number | bigint, length: number): DataView {
    const bytes = this.#engine.read(checkUint64('address', address, true), length)
    return new DataView(bytes.buffer, bytes.byteOffset, length)
  }

  #store(address: number | bigint, length: number): void {
    const bytes = new Uint8Array(this.#scratch.buffer, 0, length)
    this.#engine.write(checkUint64('address', address, true), bytes)
  }
}
