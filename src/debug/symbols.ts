import { fail, show } from '../native/errors.ts'
import { checkUint64 } from '../options/check.ts'
import { suggestion } from '../options/nearest.ts'
import { type Elf, SHT_DYNSYM, SHT_SYMTAB, readElf, stringAt } from './elf.ts'

/** How many names of an image are kept; a Linux kernel has 200,000. */
const MAX_SYMBOLS = 1 << 18
/** How many bytes its names have at most. */
const MAX_STRING_BYTES = 1 << 25
/** How far back a name is looked for that reaches over an address, past those inside of it. */
const MAX_LOOK_BACK = 64
/** Among how many names the one is looked for that was meant, and how long it is. */
const MAX_SUGGESTED = 2000
const MAX_SUGGESTED_LETTERS = 64

/** Symbol types that have an address: nothing in particular, data, code, code chosen at start. */
const TYPES = [0, 1, 2, 10]
const STB_LOCAL = 0
const STB_GLOBAL = 1
/** Section indices from here on are no sections; this one stands for a value that is no address. */
const SHN_LORESERVE = 0xff00
const SHN_ABS = 0xfff1

/** A table of symbols, as the image has it. */
interface Table {
  readonly bits: 32 | 64
  readonly symbols: DataView<ArrayBuffer>
  readonly count: number
  readonly strings: Buffer
  /** Where each section ends. */
  readonly ends: readonly bigint[]
}

interface Named {
  readonly table: Table
  readonly nameAt: number
  readonly address: bigint
  /** Where it ends: by its size, or with its section if it says none. */
  readonly end: bigint
  /** The higher, the better a name. */
  readonly rank: number
  readonly isAbsolute: boolean
}

/**
 * Names of addresses, as an ELF image has them. Tables are copied when an image comes, and read
 * when they are asked; what is not sound in them is left out.
 */
export class Symbols {
  /** Of what has no names. */
  static readonly none: Symbols = new Symbols([])

  readonly #tables: readonly Table[]
  #sorted: readonly Named[] | undefined

  private constructor(tables: readonly Table[]) {
    this.#tables = tables
  }

  /** Of an image of any format. */
  static of(image: Uint8Array | undefined): Symbols {
    const elf = image && readElf(image)
    const tables = elf ? tablesOf(elf) : []
    return tables.length > 0 ? new Symbols(tables) : Symbols.none
  }

  /** The name that reaches over an address, and how far that is into it: `main+0x12`. */
  readonly symbolOf = (address: bigint): string | undefined => {
    const sorted = (this.#sorted ??= sort(this.#tables))
    const after = firstAfter(sorted, address)
    for (let index = after - 1; index >= Math.max(0, after - MAX_LOOK_BACK); index--) {
      const { address: start, end, table, nameAt } = sorted[index]!
      const name = address < end ? stringAt(table.strings, nameAt) : undefined
      if (name !== undefined)
        return address === start ? name : `${name}+0x${(address - start).toString(16)}`
    }
    return undefined
  }

  /** The address of `main` or `main+0x12`; an unknown one is `ERR_INVALID_OPTION`. */
  readonly addressOf = (text: string): bigint => {
    const whole = this.#find(text)
    if (whole !== undefined) return whole
    const [, name = text, offset] = /^(.+)\+(0x[0-9a-f]{1,16}|[0-9]{1,20})$/i.exec(text) ?? []
    const found = offset === undefined ? undefined : this.#find(name)
    if (found !== undefined) return checkUint64('address', found + BigInt(offset!))
    if (this.#tables.length === 0) {
      const why = 'the image of this machine has no symbols'
      return fail('ERR_INVALID_OPTION', `address must be a bigint, got ${show(text)}; ${why}`)
    }
    return fail('ERR_INVALID_OPTION', `there is no symbol ${show(name)}${this.#suggestion(name)}`)
  }

  /** The address of a name, if there is one. */
  find(name: string): bigint | undefined {
    return this.#find(name)
  }

  /** What a caller gives for an address: a bigint, or a name. */
  resolve(address: unknown): bigint {
    return typeof address === 'string' ? this.addressOf(address) : checkUint64('address', address)
  }

  /** All names of an address or of what begins there, and where, in the order of addresses. */
  *labels(): Generator<{ address: bigint; name: string }> {
    for (const { address, table, nameAt } of (this.#sorted ??= sort(this.#tables))) {
      const name = stringAt(table.strings, nameAt)
      if (name !== undefined) yield { address, name }
    }
  }

  #find(name: string): bigint | undefined {
    const wanted = Buffer.from(`${name}\0`)
    let best: Named | undefined
    for (const table of this.#tables) {
      for (const symbol of symbolsOf(table)) {
        const { nameAt } = symbol
        if (best && symbol.rank <= best.rank) continue
        if (nameAt + wanted.length > table.strings.length) continue
        if (table.strings.compare(wanted, 0, wanted.length, nameAt, nameAt + wanted.length) === 0)
          best = symbol
      }
    }
    return best?.address
  }

  #suggestion(name: string): string {
    if (name.length > MAX_SUGGESTED_LETTERS) return ''
    const names: string[] = []
    for (const label of this.labels()) {
      if (names.length >= MAX_SUGGESTED) break
      if (label.name.length <= MAX_SUGGESTED_LETTERS) names.push(label.name)
    }
    return suggestion(name, names)
  }
}

function tablesOf({ bits, sections }: Elf): Table[] {
  const ends = sections.map(({ address, length }) => address + length)
  const entryBytes = bits === 64 ? 24 : 16
  let rest = MAX_SYMBOLS
  return [SHT_SYMTAB, SHT_DYNSYM]
    .flatMap((type) => sections.filter((section) => section.type === type).slice(0, 1))
    .flatMap(({ bytes, link }) => {
      const count = Math.min(rest, Math.floor(bytes.length / entryBytes))
      const strings = sections[link]?.bytes ?? new Uint8Array()
      if (count === 0 || strings.length === 0) return []
      rest -= count
      const copy = bytes.slice(0, count * entryBytes)
      const symbols = new DataView(copy.buffer)
      const names = Buffer.from(strings.slice(0, MAX_STRING_BYTES).buffer)
      return [{ bits, symbols, count, strings: names, ends }]
    })
}

/** Those with a name and a place. */
function* symbolsOf(table: Table): Generator<Named> {
  const { bits, symbols, count, ends } = table
  for (let index = 0; index < count; index++) {
    const at = index * (bits === 64 ? 24 : 16)
    const isWide = bits === 64
    const info = symbols.getUint8(at + (isWide ? 4 : 12))
    const section = symbols.getUint16(at + (isWide ? 6 : 14), true)
    const nameAt = symbols.getUint32(at, true)
    const isAbsolute = section === SHN_ABS
    const hasPlace = isAbsolute || (section > 0 && section < SHN_LORESERVE)
    if (nameAt === 0 || !hasPlace || !TYPES.includes(info & 15)) continue
    const address = isWide
      ? symbols.getBigUint64(at + 8, true)
      : BigInt(symbols.getUint32(at + 4, true))
    const length = isWide
      ? symbols.getBigUint64(at + 16, true)
      : BigInt(symbols.getUint32(at + 8, true))
    const end = length > 0n ? address + length : (ends[section] ?? 0n)
    yield { table, nameAt, address, end, rank: rankOf(info), isAbsolute }
  }
}

/** Code before data before neither; what is known everywhere before what is known in one file. */
function rankOf(info: number): number {
  const [type, binding] = [info & 15, info >> 4]
  const byBinding = binding === STB_GLOBAL ? 2 : binding === STB_LOCAL ? 0 : 1
  return Math.min(type, 3) * 3 + byBinding
}

/** By address, and the best name of each last. An absolute value is no address. */
function sort(tables: readonly Table[]): Named[] {
  const all = tables.flatMap((table) => [...symbolsOf(table)])
  return all
    .filter(({ isAbsolute }) => !isAbsolute)
    .toSorted((a, b) =>
      a.address === b.address ? a.rank - b.rank : a.address < b.address ? -1 : 1,
    )
}

function firstAfter(sorted: readonly Named[], address: bigint): number {
  let [low, high] = [0, sorted.length]
  while (low < high) {
    const middle = (low + high) >> 1
    if (sorted[middle]!.address <= address) low = middle + 1
    else high = middle
  }
  return low
}
