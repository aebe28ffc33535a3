// ELF images with symbols, made by hand.
import { elf, entry } from './elf.ts'

/** A symbol; where nothing is said it is a global function of the code. */
export interface Made {
  name: string
  /** From the segment's beginning; without `section` an absolute value. */
  at: number
  bytes?: number
  /** 0 nothing in particular, 1 data, 2 function, 3 section, 4 file. */
  type?: number
  /** 0 local, 1 global, 2 weak. */
  binding?: number
  section?: number
}

/** Section types, and the sizes of one class. */
const [PROGBITS, SYMTAB, STRTAB] = [1, 2, 3]

/** A table of strings, and where each is. */
function strings(names: readonly string[]): [Buffer, number[]] {
  const at: number[] = []
  const all = ['\0']
  let length = 1
  for (const name of names) {
    at.push(name === '' ? 0 : length)
    all.push(`${name}\0`)
    length += Buffer.byteLength(name) + 1
  }
  return [Buffer.from(all.join('')), at]
}

/** An ELF file with one segment at `entry`, and with names. */
export function elfWithSymbols(
  bits: 32 | 64,
  program: Uint8Array,
  symbols: readonly Made[],
): Uint8Array {
  const image = elf(bits, program)
  const isWide = bits === 64
  const headers = isWide ? 64 + 56 : 52 + 32
  const [names, nameAt] = strings(symbols.map(({ name }) => name))
  const [sectionNames, sectionNameAt] = strings(['.text', '.symtab', '.strtab', '.shstrtab'])
  const entryBytes = isWide ? 24 : 16
  const table = Buffer.alloc((symbols.length + 1) * entryBytes)
  for (const [index, symbol] of symbols.entries()) {
    const { at, bytes = 0, type = 2, binding = 1, section = 1 } = symbol
    const here = (index + 1) * entryBytes
    const value = section < 0xff00 ? entry + at : at
    table.writeUInt32LE(nameAt[index]!, here)
    table.writeUInt8((binding << 4) | type, here + (isWide ? 4 : 12))
    table.writeUInt16LE(section, here + (isWide ? 6 : 14))
    if (isWide) {
      table.writeBigUInt64LE(BigInt(value), here + 8)
      table.writeBigUInt64LE(BigInt(bytes), here + 16)
    } else {
      table.writeUInt32LE(value, here + 4)
      table.writeUInt32LE(bytes, here + 8)
    }
  }
  const contents: [number, Uint8Array, number, number][] = [
    [PROGBITS, program, 6, entry],
    [SYMTAB, table, 0, 0],
    [STRTAB, names, 0, 0],
    [STRTAB, sectionNames, 0, 0],
  ]
  const sectionBytes = isWide ? 64 : 40
  const sections = Buffer.alloc((contents.length + 1) * sectionBytes)
  let offset = image.length
  for (const [index, [type, bytes, flags, address]] of contents.entries()) {
    const here = (index + 1) * sectionBytes
    const at = index === 0 ? headers : offset
    if (index > 0) offset += bytes.length
    sections.writeUInt32LE(sectionNameAt[index]!, here)
    sections.writeUInt32LE(type, here + 4)
    const words = [flags, address, at, bytes.length]
    for (const [word, value] of words.entries()) {
      if (isWide) sections.writeBigUInt64LE(BigInt(value), here + 8 + 8 * word)
      else sections.writeUInt32LE(value, here + 8 + 4 * word)
    }
    sections.writeUInt32LE(type === SYMTAB ? 3 : 0, here + (isWide ? 0x28 : 0x18))
  }
  const whole = Buffer.concat([image, ...contents.slice(1).map(([, bytes]) => bytes), sections])
  if (isWide) whole.writeBigUInt64LE(BigInt(offset), 0x28)
  else whole.writeUInt32LE(offset, 0x20)
  for (const [index, value] of [sectionBytes, 5, 4].entries())
    whole.writeUInt16LE(value, (isWide ? 0x3a : 0x2e) + 2 * index)
  return new Uint8Array(whole)
}
