// What is used of the library for XDR, which has no types of its own and whose names an import
// does not find.
import { createRequire } from 'node:module'

/** Takes values off bytes. */
interface XdrReader {
  ensureInputConsumed(): void
}

/** Collects bytes of values. */
interface XdrWriter {
  finalize(): Buffer
}

/** How values of one kind are read and written. */
export interface XdrType<T> {
  read(reader: XdrReader): T
  write(value: T, writer: XdrWriter): void
}

/** 64 bits: read as an object of the library's. */
interface LargeInt {
  read(reader: XdrReader): { toBigInt(): bigint }
  write(value: bigint, writer: XdrWriter): void
}

interface Library {
  readonly XdrReader: new (source: Buffer) => XdrReader
  readonly XdrWriter: new () => XdrWriter
  readonly Int: XdrType<number>
  readonly UnsignedInt: XdrType<number>
  readonly Double: XdrType<number>
  readonly Hyper: LargeInt
  readonly UnsignedHyper: LargeInt
  readonly String: new (maxLength: number) => XdrType<Uint8Array | string>
  readonly Opaque: new (length: number) => XdrType<Uint8Array>
  readonly VarOpaque: new (maxLength: number) => XdrType<Uint8Array>
  readonly Array: new <T>(child: XdrType<T>, length: number) => XdrType<T[]>
  readonly VarArray: new <T>(child: XdrType<T>, maxLength: number) => XdrType<T[]>
  readonly Option: new <T>(child: XdrType<T>) => XdrType<T | undefined>
}

const require = createRequire(import.meta.url)

/** The library. */
export const xdr = require('@stellar/js-xdr') as Library
