import { computeImage, hexBytes } from './images.ts'

/** Where the library lies in its machine. */
const loadAddress = 0x40_0000
const headerBytes = 0x40
const segmentBytes = 0x38
const sectionBytes = 0x40
const symbolBytes = 0x18

/** The import, and what stands in the image's own section for it. */
const recordAt = headerBytes + segmentBytes
const record = Buffer.from('vmx1')
const recordBytes = 0x28

/** Its functions, one after the other. */
const functions: Readonly<Record<string, Uint8Array>> = {
  /** The sum of two integers. */
  add: hexBytes(`
    8d 04 37                lea eax, [rdi + rsi]
    c3                      ret
  `),
  /** RDI system calls of number RSI. */
  system_calls: hexBytes(`
    48 89 f0                mov rax, rsi
    0f 05                   syscall
    48 ff cf                dec rdi
    75 f6                   jnz -10
    c3                      ret
  `),
  /** RDI calls of the import: the number is the address of its record. */
  ask: hexBytes(`
    b8 78 00 40 00          mov eax, 0x400078
    0f 05                   syscall
    48 ff cf                dec rdi
    75 f4                   jnz -12
    c3                      ret
  `),
  compute: computeImage,
}

/** A library of a few bytes, as a linker would make it: nobody who measures needs a compiler. */
export function benchLibrary(): Uint8Array {
  const names = Object.keys(functions)
  const texts = Buffer.from(`\0${[...names, '.vmexit', '.symtab', '.strtab'].join('\0')}\0`)
  const nameAt = (name: string): number => texts.indexOf(`\0${name}\0`) + 1
  const codeAt = recordAt + recordBytes
  const code = Buffer.concat(Object.values(functions))
  const symbolsAt = codeAt + Math.ceil(code.length / 8) * 8
  const textsAt = symbolsAt + (names.length + 1) * symbolBytes
  const sectionsAt = textsAt + Math.ceil(texts.length / 8) * 8
  const image = Buffer.alloc(sectionsAt + 4 * sectionBytes)
  const address = (at: number): bigint => BigInt(loadAddress + at)

  // ELF64, little-endian, ET_EXEC for x86-64, without an entry (System V ABI, chapter 4).
  image.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1])
  image.writeUInt16LE(2, 0x10)
  image.writeUInt16LE(62, 0x12)
  image.writeUInt32LE(1, 0x14)
  image.writeBigUInt64LE(BigInt(headerBytes), 0x20)
  image.writeBigUInt64LE(BigInt(sectionsAt), 0x28)
  for (const [at, value] of [
    [0x34, headerBytes],
    [0x36, segmentBytes],
    [0x38, 1],
    [0x3a, sectionBytes],
    [0x3c, 4],
    [0x3e, 3],
  ] as const)
    image.writeUInt16LE(value, at)

  // PT_LOAD of all that comes before the names, readable and executable.
  image.writeUInt32LE(1, headerBytes)
  image.writeUInt32LE(5, headerBytes + 4)
  image.writeBigUInt64LE(address(0), headerBytes + 0x10)
  image.writeBigUInt64LE(address(0), headerBytes + 0x18)
  image.writeBigUInt64LE(BigInt(symbolsAt), headerBytes + 0x20)
  image.writeBigUInt64LE(BigInt(symbolsAt), headerBytes + 0x28)
  image.writeBigUInt64LE(0x1000n, headerBytes + 0x30)

  image.set(record, recordAt)
  image.writeUInt32LE(recordBytes, recordAt + 4)
  image.writeUInt32LE(2, recordAt + 8)
  image.write('ask\0void()\0', recordAt + 0x18)
  image.set(code, codeAt)
  image.set(texts, textsAt)
  let at = codeAt
  for (const [index, [name, { length }]] of Object.entries(functions).entries()) {
    const symbol = symbolsAt + (index + 1) * symbolBytes
    image.writeUInt32LE(nameAt(name), symbol)
    // STB_GLOBAL, STT_FUNC, in a section.
    image.set([0x12, 0, 1, 0], symbol + 4)
    image.writeBigUInt64LE(address(at), symbol + 8)
    image.writeBigUInt64LE(BigInt(length), symbol + 0x10)
    at += length
  }
  const section = (index: number, name: string, type: number, from: number, to: number): number => {
    const start = sectionsAt + index * sectionBytes
    image.writeUInt32LE(nameAt(name), start)
    image.writeUInt32LE(type, start + 4)
    image.writeBigUInt64LE(BigInt(from), start + 0x18)
    image.writeBigUInt64LE(BigInt(to - from), start + 0x20)
    return start
  }
  // SHT_PROGBITS, SHF_ALLOC; SHT_SYMTAB; SHT_STRTAB.
  const own = section(1, '.vmexit', 1, recordAt, codeAt)
  image.writeBigUInt64LE(2n, own + 8)
  image.writeBigUInt64LE(address(recordAt), own + 0x10)
  const table = section(2, '.symtab', 2, symbolsAt, textsAt)
  image.writeUInt32LE(3, table + 0x28)
  image.writeBigUInt64LE(BigInt(symbolBytes), table + 0x38)
  section(3, '.strtab', 3, textsAt, textsAt + texts.length)
  return image
}
