/** A section: a named range of the file, and where it lies in memory. */
interface Section {
  readonly name: string
  readonly type: number
  readonly isExecutable: boolean
  readonly address: bigint
  /** How many bytes it has in memory. */
  readonly length: bigint
  /** What it has of the file; nothing where that is outside the image. */
  readonly bytes: Uint8Array
  /** The index of another section, whose strings it uses. */
  readonly link: number
}

/** What is loaded: a range of the file, and where it lies in memory. */
interface Segment {
  readonly isExecutable: boolean
  readonly address: bigint
  readonly bytes: Uint8Array
}

/** As much of an ELF image as names and code need (System V ABI, chapters 4 and 5). */
export interface Elf {
  readonly bits: 32 | 64
  readonly isRelocatable: boolean
  readonly sections: readonly Section[]
  readonly segments: readonly Segment[]
  /** The program that loads it, where it is linked dynamically. */
  readonly interpreter: string | undefined
}

/** Section types (figure 4-9). */
export const SHT_SYMTAB = 2
const SHT_NOBITS = 8
export const SHT_DYNSYM = 11
const ET_REL = 1
const PT_LOAD = 1
const PT_INTERP = 3
/** Flags of sections and segments. */
const SHF_ALLOC_EXECINSTR = 6n
const PF_X = 1
/** Linkers give a program a few dozen; this many fit without the extended numbers. */
const MAX_HEADERS = 0xff00
/** The most bytes of a name that are read. */
const MAX_NAME_BYTES = 4096

/** The offsets of fields in one class. */
interface Layout {
  readonly bits: 32 | 64
  readonly headerBytes: number
  readonly phoff: number
  readonly shoff: number
  readonly counts: number
  readonly segment: Record<'bytes' | 'flags' | 'offset' | 'address' | 'fileBytes', number>
  readonly section: Record<'bytes' | 'flags' | 'address' | 'offset' | 'size' | 'link', number>
}

const ELF32: Layout = {
  bits: 32,
  headerBytes: 52,
  phoff: 0x1c,
  shoff: 0x20,
  counts: 0x2a,
  segment: { bytes: 32, flags: 0x18, offset: 4, address: 8, fileBytes: 0x10 },
  section: { bytes: 40, flags: 8, address: 0x0c, offset: 0x10, size: 0x14, link: 0x18 },
}
const ELF64: Layout = {
  bits: 64,
  headerBytes: 64,
  phoff: 0x20,
  shoff: 0x28,
  counts: 0x36,
  segment: { bytes: 56, flags: 4, offset: 8, address: 0x10, fileBytes: 0x20 },
  section: { bytes: 64, flags: 8, address: 0x10, offset: 0x18, size: 0x20, link: 0x28 },
}

/** Reads headers; nothing for what is no ELF image of x86. What lies outside the image is empty. */
export function readElf(given: Uint8Array): Elf | undefined {
  const layout = layoutOf(given)
  if (!layout) return undefined
  // A Buffer's slice would be no copy.
  const image = new Uint8Array(given.buffer, given.byteOffset, given.byteLength)
  const view = new DataView(image.buffer, image.byteOffset, image.byteLength)
  const word = (at: number): bigint =>
    layout.bits === 64 ? view.getBigUint64(at, true) : BigInt(view.getUint32(at, true))
  const half = (index: number): number => view.getUint16(layout.counts + 2 * index, true)
  const [segmentBytes, segmentCount, sectionBytes, sectionCount, namesIndex] = [
    half(0),
    half(1),
    half(2),
    half(3),
    half(4),
  ]
  const at = (first: bigint, count: number, bytes: number, own: number): number[] =>
    bytes === own ? headersAt(image, first, count, bytes) : []
  const headers = at(word(layout.phoff), segmentCount, segmentBytes, layout.segment.bytes)
  const segmentsOf = (type: number): Segment[] =>
    headers
      .filter((header) => view.getUint32(header, true) === type)
      .map((header) => {
        const { flags, offset, address, fileBytes } = layout.segment
        return {
          isExecutable: (view.getUint32(header + flags, true) & PF_X) !== 0,
          address: word(header + address),
          bytes: part(image, word(header + offset), word(header + fileBytes)),
        }
      })
  const [interpreter] = segmentsOf(PT_INTERP)
  const raw = at(word(layout.shoff), sectionCount, sectionBytes, layout.section.bytes).map(
    (header) => {
      const { flags, address, offset, size, link } = layout.section
      const type = view.getUint32(header + 4, true)
      const length = word(header + size)
      return {
        nameAt: view.getUint32(header, true),
        type,
        isExecutable: (word(header + flags) & SHF_ALLOC_EXECINSTR) === SHF_ALLOC_EXECINSTR,
        address: word(header + address),
        length,
        bytes: part(image, word(header + offset), type === SHT_NOBITS ? 0n : length),
        link: view.getUint32(header + link, true),
      }
    },
  )
  const names = raw[namesIndex]?.bytes ?? new Uint8Array()
  return {
    bits: layout.bits,
    isRelocatable: view.getUint16(0x10, true) === ET_REL,
    segments: segmentsOf(PT_LOAD),
    interpreter: interpreter && stringAt(interpreter.bytes, 0),
    sections: raw.map(({ nameAt, ...section }) => ({
      ...section,
      name: stringAt(names, nameAt) ?? '',
    })),
  }
}

/** EI_CLASS, EI_DATA and e_machine: little-endian, x86. */
function layoutOf(image: Uint8Array): Layout | undefined {
  const isElf = [0x7f, 0x45, 0x4c, 0x46].every((byte, index) => image[index] === byte)
  if (!isElf || image[5] !== 1) return undefined
  const machine = image[0x12]! | (image[0x13]! << 8)
  const layout = image[4] === 1 && machine === 3 ? ELF32 : ELF64
  const isKnown = layout === ELF32 || (image[4] === 2 && machine === 62)
  return isKnown && image.length >= layout.headerBytes ? layout : undefined
}

/** Where headers begin that lie in the image as a whole. */
function headersAt(image: Uint8Array, first: bigint, count: number, bytes: number): number[] {
  if (first === 0n || first > BigInt(image.length) || count > MAX_HEADERS) return []
  const start = Number(first)
  const fits = Math.min(count, Math.floor((image.length - start) / bytes))
  return Array.from({ length: fits }, (_, index) => start + index * bytes)
}

function part(image: Uint8Array, offset: bigint, length: bigint): Uint8Array {
  if (offset + length > BigInt(image.length)) return new Uint8Array()
  return image.subarray(Number(offset), Number(offset + length))
}

/** What no name has: it would show as something else, or steer a terminal. */
const UNFIT = /[\p{C}\p{Z}]/u

/** A name of a table of strings; nothing for an empty one, or one that cannot be shown. */
export function stringAt(strings: Uint8Array, at: number): string | undefined {
  const rest = strings.subarray(at, at + MAX_NAME_BYTES)
  const end = rest.indexOf(0)
  if (end <= 0) return undefined
  const name = Buffer.from(rest.buffer, rest.byteOffset, end).toString('utf8')
  return UNFIT.test(name) ? undefined : name
}
