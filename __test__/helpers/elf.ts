// ELF images made by hand.

/** Where the segment lies, and execution starts. */
export const entry = 0x10_0000

/** An ELF file with one segment at `entry`, its code after the headers. */
export function elf(bits: 32 | 64, program: Uint8Array): Uint8Array {
  const headerBytes = bits === 64 ? 64 + 56 : 52 + 32
  const bytes = new Uint8Array(headerBytes + program.length)
  const view = new DataView(bytes.buffer)
  const put16 = (at: number, value: number) => view.setUint16(at, value, true)
  const put32 = (at: number, value: number) => view.setUint32(at, value, true)
  const put64 = (at: number, value: number) => view.setBigUint64(at, BigInt(value), true)
  bytes.set([0x7f, 0x45, 0x4c, 0x46, bits === 64 ? 2 : 1, 1, 1])
  put16(16, 2)
  put16(18, bits === 64 ? 62 : 3)
  put32(20, 1)
  const memoryBytes = program.length + 0x1000
  if (bits === 64) {
    put64(24, entry)
    put64(32, 64)
    for (const [index, value] of [64, 56, 1].entries()) put16(52 + index * 2, value)
    put32(64, 1)
    put32(68, 7)
    for (const [index, value] of [
      headerBytes,
      entry,
      entry,
      program.length,
      memoryBytes,
      1,
    ].entries()) {
      put64(72 + index * 8, value)
    }
  } else {
    put32(24, entry)
    put32(28, 52)
    for (const [index, value] of [52, 32, 1].entries()) put16(40 + index * 2, value)
    for (const [index, value] of [
      1,
      headerBytes,
      entry,
      entry,
      program.length,
      memoryBytes,
      7,
      1,
    ].entries()) {
      put32(52 + index * 4, value)
    }
  }
  bytes.set(program, headerBytes)
  return bytes
}
