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

/** Functions by name: their code, which must not ask where it lies. */
export type Functions = Readonly<Record<string, Uint8Array>>

/** What is measured. */
const ours: Functions = {
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

/** Where its parts are in the image. */
interface Places {
  readonly code: number
  readonly symbols: number
  readonly texts: number
  readonly sections: number
}

const aligned = (bytes: number): number => Math.ceil(bytes / 8) * 8
const address = (at: number): bigint => BigInt(loadAddress + at)

/** A library of a few bytes, as a linker would make it: who measures needs no compiler for it. */
export function benchLibrary(functions: Functions = ours): Uint8Array {
  const names = Object.keys(functions)
  const texts = Buffer.from(`\0${[...names, '.vmexit', '.symtab', '.strtab'].join('\0')}\0`)
  const code = Buffer.concat(Object.values(functions))
  const codeAt = recordAt + recordBytes
  const symbols = codeAt + aligned(code.length)
  const textsAt = symbols + (names.length + 1) * symbolBytes
  const sections = textsAt + aligned(texts.length)
  const nameAt = (name: string): number => texts.indexOf(`\0${name}\0`) + 1
  const places = { code: codeAt, symbols, texts: textsAt, sections }
  const image = Buffer.alloc(sections + 4 * sectionBytes)
  writeHeaders(image, places)
  image.set(record, recordAt)
  image.writeUInt32LE(recordBytes, recordAt + 4)
  image.writeUInt32LE(2, recordAt + 8)
  image.write('ask\0void()\0', recordAt + 0x18)
  image.set(code, codeAt)
  image.set(texts, textsAt)
  writeSymbols(image, places, functions, nameAt)
  writeSections(image, places, nameAt, texts.length)
  return image
}

/** ELF64, little-endian, ET_EXEC for x86-64, without an entry (System V ABI, chapter 4). */
function writeHeaders(image: Buffer, { symbols, sections }: Places): void {
  image.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1])
  image.writeUInt16LE(2, 0x10)
  image.writeUInt16LE(62, 0x12)
  image.writeUInt32LE(1, 0x14)
  image.writeBigUInt64LE(BigInt(headerBytes), 0x20)
  image.writeBigUInt64LE(BigInt(sections), 0x28)
  const counts = [headerBytes, segmentBytes, 1, sectionBytes, 4, 3]
  for (const [index, count] of counts.entries()) image.writeUInt16LE(count, 0x34 + index * 2)
  // PT_LOAD of all that comes before the names, readable and executable.
  image.writeUInt32LE(1, headerBytes)
  image.writeUInt32LE(5, headerBytes + 4)
  const words = [0n, address(0), address(0), BigInt(symbols), BigInt(symbols), 0x1000n]
  for (const [index, word] of words.entries())
    image.writeBigUInt64LE(word, headerBytes + 8 + index * 8)
}

type NameAt = (name: string) => number

function writeSymbols(
  image: Buffer,
  { code, symbols }: Places,
  functions: Functions,
  nameAt: NameAt,
): void {
  let at = code
  for (const [index, [name, { length }]] of Object.entries(functions).entries()) {
    const symbol = symbols + (index + 1) * symbolBytes
    image.writeUInt32LE(nameAt(name), symbol)
    // STB_GLOBAL, STT_FUNC, in a section.
    image.set([0x12, 0, 1, 0], symbol + 4)
    image.writeBigUInt64LE(address(at), symbol + 8)
    image.writeBigUInt64LE(BigInt(length), symbol + 0x10)
    at += length
  }
}

function writeSections(image: Buffer, places: Places, nameAt: NameAt, textBytes: number): void {
  const section = (index: number, name: string, type: number, from: number, to: number): number => {
    const start = places.sections + index * sectionBytes
    image.writeUInt32LE(nameAt(name), start)
    image.writeUInt32LE(type, start + 4)
    image.writeBigUInt64LE(BigInt(from), start + 0x18)
    image.writeBigUInt64LE(BigInt(to - from), start + 0x20)
    return start
  }
  // SHT_PROGBITS, SHF_ALLOC; SHT_SYMTAB; SHT_STRTAB.
  const own = section(1, '.vmexit', 1, recordAt, places.code)
  image.writeBigUInt64LE(2n, own + 8)
  image.writeBigUInt64LE(address(recordAt), own + 0x10)
  const table = section(2, '.symtab', 2, places.symbols, places.texts)
  image.writeUInt32LE(3, table + 0x28)
  image.writeBigUInt64LE(BigInt(symbolBytes), table + 0x38)
  section(3, '.strtab', 3, places.texts, places.texts + textBytes)
}
