/** Hexadecimal digits as the protocol has them: lower case, two for a byte. */
export function toHex(bytes: Uint8Array | string): string {
  return Buffer.from(bytes as Uint8Array).toString('hex')
}

/** The bytes of hexadecimal digits, or `undefined` if they are none. */
export function fromHex(text: string): Buffer | undefined {
  return /^(?:[0-9a-f]{2})*$/i.test(text) ? Buffer.from(text, 'hex') : undefined
}

/** A number without sign, of at most 64 bits, in hexadecimal digits. */
export function parseNumber(text: string | undefined): bigint | undefined {
  return text !== undefined && /^[0-9a-f]{1,16}$/i.test(text) ? BigInt(`0x${text}`) : undefined
}

/** A value as little-endian hexadecimal digits. */
export function toLittleHex(value: bigint, bits: number): string {
  const big = BigInt.asUintN(bits, value)
    .toString(16)
    .padStart(bits / 4, '0')
  return Buffer.from(Buffer.from(big, 'hex').toReversed()).toString('hex')
}

/** The value of little-endian bytes. */
export function fromLittle(bytes: Uint8Array): bigint {
  const hex = Buffer.from(bytes.toReversed()).toString('hex')
  return hex === '' ? 0n : BigInt(`0x${hex}`)
}

/** What a packet cannot hold as it is is said by this byte, and itself with a bit changed. */
const ESCAPE = 0x7d
const ESCAPE_BIT = 0x20

/** Binary data as it was before it went into a packet; `undefined` if it ends in an escape. */
export function unescaped(bytes: Uint8Array): Uint8Array | undefined {
  const out = new Uint8Array(bytes.length)
  let length = 0
  for (let index = 0; index < bytes.length; index++) {
    let byte = bytes[index]!
    if (byte === ESCAPE) {
      index++
      if (index === bytes.length) return undefined
      byte = bytes[index]! ^ ESCAPE_BIT
    }
    out[length++] = byte
  }
  return out.subarray(0, length)
}

/** `#`, `$`, `*` and the escape itself. */
const SPECIAL = new Set([0x23, 0x24, 0x2a, ESCAPE])

/** Binary data as a packet can hold it. */
export function escaped(bytes: Uint8Array): Buffer {
  const out: number[] = []
  for (const byte of bytes) {
    if (SPECIAL.has(byte)) out.push(ESCAPE, byte ^ ESCAPE_BIT)
    else out.push(byte)
  }
  return Buffer.from(out)
}

/** The sum of a packet's bytes, of which the low 8 bits count. */
export function sumOf(bytes: Uint8Array): number {
  let sum = 0
  for (const byte of bytes) sum = (sum + byte) & 0xff
  return sum
}
