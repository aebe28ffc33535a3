import { fail } from '../native/errors.ts'
import type { Part } from './engine/types.ts'

/** The section that `guest/include/vmexit.h` writes: records, 8-aligned and little-endian. */
export const SECTION = '.vmexit'

const MAGIC = 0x3178_6d76
/** Offsets in a record, in bytes. */
const RECORD = { bytes: 4, kind: 8, offset: 16, texts: 24 } as const
const ALIGNMENT = 8
/** What a record with an empty name and signature has. */
const LEAST_BYTES = 32
const EXPORT = 1
const IMPORT = 2
/** Of exports and imports together; more than any library has by hand. */
const MAX_RECORDS = 65_536

/** A function that an image offers, or asks for. */
export interface Declared {
  readonly name: string
  /** Of the function; of an import its record, by which it calls. */
  readonly address: bigint
  /** As it is written there. */
  readonly signature: string
}

/** What an image says of itself. */
export interface Declarations {
  readonly exports: ReadonlyMap<string, Declared>
  readonly imports: readonly Declared[]
}

const decoder = new TextDecoder()
const wrong = (why: string): never => fail('ERR_PAYLOAD', `section ${SECTION}: ${why}`)

/** Reads the records of an image. An image without the section declares nothing. */
export function readDeclarations(part: Part | undefined): Declarations {
  const exports = new Map<string, Declared>()
  const imports: Declared[] = []
  if (!part) return { exports, imports }
  const { bytes } = part
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  let [at, count] = [0, 0]
  while (at + LEAST_BYTES <= bytes.length) {
    // Linkers fill gaps between the sections of several files.
    if (view.getBigUint64(at, true) === 0n) {
      at += ALIGNMENT
      continue
    }
    count += 1
    if (count > MAX_RECORDS) return wrong(`at most ${MAX_RECORDS} records`)
    const length = lengthOf(view, at)
    const kind = view.getUint32(at + RECORD.kind, true)
    const declared = readRecord(part, view, at, length, kind)
    if (kind === IMPORT) imports.push(declared)
    else if (exports.has(declared.name)) return wrong(`${declared.name} is exported twice`)
    else exports.set(declared.name, declared)
    at += length
  }
  return { exports, imports }
}

function lengthOf(view: DataView, at: number): number {
  const length = view.getUint32(at + RECORD.bytes, true)
  const isWhole = length % ALIGNMENT === 0 && length >= LEAST_BYTES
  const isRecord = view.getUint32(at, true) === MAGIC && isWhole && at + length <= view.byteLength
  return isRecord ? length : wrong(`no record at offset ${at}`)
}

function readRecord(part: Part, view: DataView, at: number, length: number, kind: number) {
  if (kind !== EXPORT && kind !== IMPORT) return wrong(`a record of kind ${kind}`)
  const texts = part.bytes.subarray(at + RECORD.texts, at + length)
  const [name, end] = textAt(texts, 0)
  const [signature] = textAt(texts, end)
  const field = part.address + BigInt(at + RECORD.offset)
  const offset = view.getBigInt64(at + RECORD.offset, true)
  const address = kind === EXPORT ? field + offset : part.address + BigInt(at)
  return { name, address: BigInt.asUintN(64, address), signature }
}

function textAt(bytes: Uint8Array, from: number): [text: string, end: number] {
  const end = bytes.indexOf(0, from)
  const text = end < 0 ? '' : decoder.decode(bytes.subarray(from, end))
  return text === '' ? wrong('a record without a name or a signature') : [text, end + 1]
}
