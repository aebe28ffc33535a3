// What the section .vmexit of an ELF image says, read independently of the library.

/** A part of an image, as a section header or a program header has it. */
interface Part {
  name: string
  type: number
  flags: number
  address: number
  offset: number
  bytes: number
}

/** A function that a library exports or imports. */
export interface NativeRecord {
  kind: 'export' | 'import'
  name: string
  signature: string
  /** Where the record stands when the image is loaded as linked. */
  address: number
  /** The function, of an export. */
  target?: number
}

const decoder = new TextDecoder()

const text = (bytes: Uint8Array, at: number): string =>
  decoder.decode(bytes.subarray(at, bytes.indexOf(0, at)))

const viewOf = ({ buffer, byteOffset, byteLength }: Uint8Array): DataView =>
  new DataView(buffer, byteOffset, byteLength)

/** The sections of an ELF image of 64 bits. */
export function sections(image: Uint8Array): Part[] {
  const view = viewOf(image)
  const at = Number(view.getBigUint64(0x28, true))
  const [entryBytes, count, names] = [0x3a, 0x3c, 0x3e].map((field) => view.getUint16(field, true))
  const word = (index: number, field: number): number =>
    Number(view.getBigUint64(at + index * entryBytes! + field, true))
  const nameTable = word(names!, 0x18)
  return Array.from({ length: count! }, (_, index) => ({
    name: text(image, nameTable + view.getUint32(at + index * entryBytes!, true)),
    type: view.getUint32(at + index * entryBytes! + 4, true),
    flags: word(index, 8),
    address: word(index, 0x10),
    offset: word(index, 0x18),
    bytes: word(index, 0x20),
  }))
}

/** The segments of an ELF image of 64 bits; flags are 1 executable, 2 writable, 4 readable. */
export function segments(image: Uint8Array): Omit<Part, 'name'>[] {
  const view = viewOf(image)
  const at = Number(view.getBigUint64(0x20, true))
  const [entryBytes, count] = [0x36, 0x38].map((field) => view.getUint16(field, true))
  return Array.from({ length: count! }, (_, index) => {
    const here = at + index * entryBytes!
    const word = (field: number): number => Number(view.getBigUint64(here + field, true))
    return {
      type: view.getUint32(here, true),
      flags: view.getUint32(here + 4, true),
      offset: word(8),
      address: word(0x10),
      bytes: word(0x28),
    }
  })
}

/** The addresses of the symbols that an image still has. */
export function symbols(image: Uint8Array): Map<string, number> {
  const view = viewOf(image)
  const all = sections(image)
  const table = all.find(({ type }) => type === 2)
  const strings = all.find(({ name }) => name === '.strtab')
  const found = new Map<string, number>()
  if (!table || !strings) return found
  for (let at = 0; at < table.bytes; at += 24) {
    const name = text(image, strings.offset + view.getUint32(table.offset + at, true))
    found.set(name, Number(view.getBigUint64(table.offset + at + 8, true)))
  }
  return found
}

/** The records of an image, in their order; what is not as promised is an error. */
export function records(image: Uint8Array): NativeRecord[] {
  const section = sections(image).find(({ name }) => name === '.vmexit')
  if (!section) return []
  const view = viewOf(image)
  const found: NativeRecord[] = []
  for (let at = 0; at < section.bytes;) {
    const here = section.offset + at
    const [magic, bytes, kind, reserved] = [0, 4, 8, 12].map((field) =>
      view.getUint32(here + field, true),
    ) as [number, number, number, number]
    if (magic !== 0x31786d76 || reserved !== 0 || bytes % 8 !== 0 || bytes < 32)
      throw new Error(`no record at ${at}`)
    const offset = Number(view.getBigInt64(here + 16, true))
    const address = section.address + at
    const name = text(image, here + 24)
    const signature = text(image, here + 25 + name.length)
    const used = 26 + name.length + signature.length
    if (image.subarray(here + used, here + bytes).some((byte) => byte !== 0) || used > bytes)
      throw new Error(`no padding of ${name}`)
    if (kind === 1)
      found.push({ kind: 'export', name, signature, address, target: address + 16 + offset })
    else if (kind === 2 && offset === 0) found.push({ kind: 'import', name, signature, address })
    else throw new Error(`kind ${kind} of ${name}`)
    at += bytes
  }
  return found
}
