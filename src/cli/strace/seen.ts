import type { CallMemory } from '../../process/index.ts'
import { raise } from '../../native/errors.ts'
import { isVmError } from '../report.ts'

/** A call as it is shown: before it is answered it has no result. */
export interface Seen {
  readonly args: readonly bigint[]
  readonly memory: CallMemory
  /** RAX, signed. */
  readonly result?: bigint
}

/** The bytes at an address; nothing where the program could not read all of them. */
export function bytesAt({ memory }: Seen, address: bigint, length: number): Buffer | undefined {
  return tried(() => Buffer.from(memory.read(address, length)))
}

/** A string that ends with a NUL. */
export function stringAt({ memory }: Seen, address: bigint): string | undefined {
  return tried(() => memory.readString(address))
}

function tried<T>(access: () => T): T | undefined {
  try {
    return access()
  } catch (error) {
    return isVmError(error) && error.code === 'ERR_GUEST_MEMORY' ? undefined : raise(error)
  }
}

/** An address. */
export function pointer(value: bigint): string {
  return value === 0n ? 'NULL' : `0x${value.toString(16)}`
}

export const int = (value: bigint): number => Number(BigInt.asIntN(32, value))
export const unsigned = (value: bigint): number => Number(BigInt.asUintN(32, value))

/** The most bytes of a buffer that are shown. */
export const SHOWN_BYTES = 32

const short: Readonly<Record<number, string>> = {
  7: String.raw`\a`,
  8: String.raw`\b`,
  9: String.raw`\t`,
  10: String.raw`\n`,
  11: String.raw`\v`,
  12: String.raw`\f`,
  13: String.raw`\r`,
  34: String.raw`\"`,
  92: String.raw`\\`,
}

/** Bytes as a string of C, which steers no terminal. */
export function quoteBytes(bytes: Uint8Array): string {
  const texts = Array.from(bytes, (byte, index) => {
    const known = short[byte]
    if (known !== undefined) return known
    if (byte >= 0x20 && byte < 0x7f) return String.fromCharCode(byte)
    // A digit that follows would be taken for one of it.
    const next = bytes[index + 1] ?? 0
    const digits = byte.toString(8)
    return `\\${next >= 0x30 && next <= 0x39 ? digits.padStart(3, '0') : digits}`
  })
  return `"${texts.join('')}"`
}

/** A path: what a terminal shows of it stays as it is. */
export function quoteText(text: string): string {
  const shown = text.replaceAll(/["\\]|\p{C}|(?! )\p{Z}/gu, (each) =>
    quoteBytes(Buffer.from(each)).slice(1, -1),
  )
  return `"${shown}"`
}

/** The beginning of a buffer, and whether there is more. */
export function quoteStart(bytes: Uint8Array, length: number): string {
  return quoteBytes(bytes.subarray(0, SHOWN_BYTES)) + (length > SHOWN_BYTES ? '...' : '')
}
