// Images of every format that the loader knows, built from a description that is plain JSON.
//
//   { format, bytes?, entry?, headers?, fill?, flags?, patches?, cut? }
//
// `headers` are program headers, each with `repeat` for how often; `fill` is what follows them, repeated; `patches` are `[at, hexadecimal
// bytes]`, negative from the end; `cut` is how much is left of the whole.

export const PT_LOAD = 1
export const PT_NOTE = 4
const MULTIBOOT_MAGIC = 0x1bad_b002

/** Where segments lie unless said otherwise. */
export const LOAD_GPA = 0x10_0000

const words = (...values) => Buffer.from(Uint32Array.from(values, (value) => value >>> 0).buffer)

/** A note with PVH's entry. */
const pvhNote = (entry) => Buffer.concat([words(4, 4, 18), Buffer.from('Xen\0'), words(entry)])

function multibootHeader(flags) {
  return words(MULTIBOOT_MAGIC, flags, -MULTIBOOT_MAGIC - flags)
}

function elfHeader(bits, entry, count) {
  const head = Buffer.alloc(bits === 64 ? 64 : 52)
  head.set([0x7f, 0x45, 0x4c, 0x46, bits === 64 ? 2 : 1, 1, 1])
  head.writeUInt16LE(2, 16)
  head.writeUInt16LE(bits === 64 ? 62 : 3, 18)
  head.writeUInt32LE(1, 20)
  if (bits === 64) {
    head.writeBigUInt64LE(BigInt(entry), 24)
    head.writeBigUInt64LE(64n, 32)
    for (const [index, value] of [64, 56, count].entries())
      head.writeUInt16LE(value, 52 + index * 2)
  } else {
    head.writeUInt32LE(entry >>> 0, 24)
    head.writeUInt32LE(52, 28)
    for (const [index, value] of [52, 32, count].entries())
      head.writeUInt16LE(value, 40 + index * 2)
  }
  return head
}

/** Offsets from the body's start become offsets in the file. */
function programHeader(bits, header, bodyAt) {
  const { type = PT_LOAD, at = 0, gpa = LOAD_GPA, filesz = 64, align = 4096 } = header
  const { virtual = gpa, memsz = filesz, absolute = false } = header
  const offset = absolute ? at : bodyAt + at
  if (bits === 32) return words(type, offset, virtual, gpa, filesz, memsz, 7, align)
  const wide = [offset, virtual, gpa, filesz, memsz, align]
  const long = BigUint64Array.from(wide, (value) => BigInt.asUintN(64, BigInt(value)))
  return Buffer.concat([words(type, 7), Buffer.from(long.buffer)])
}

function elf(bits, { entry = LOAD_GPA, headers = [{}], bytes = 0 }, start, fill) {
  const count = headers.reduce((sum, { repeat = 1 }) => sum + repeat, 0)
  const bodyAt = (bits === 64 ? 64 : 52) + count * (bits === 64 ? 56 : 32)
  const table = headers.flatMap((header) =>
    Array(header.repeat ?? 1).fill(programHeader(bits, header, bodyAt)),
  )
  const body = Buffer.alloc(Math.max(bytes - bodyAt, 256), fill)
  start.copy(body)
  return Buffer.concat([elfHeader(bits, entry, count & 0xffff), ...table, body])
}

function bzImage({ bytes = 0, setupSectors = 1, fields = {} }, fill) {
  const setupBytes = (setupSectors + 1) * 512
  const image = Buffer.alloc(Math.max(bytes, setupBytes + 0x400), fill)
  image.fill(0, 0, setupBytes)
  const { initSize = 0x10_0000, version = 0x20f, xloadflags = 1 } = fields
  image[0x1f1] = setupSectors
  image.writeUInt32LE((image.length - setupBytes) >>> 4, 0x1f4)
  image.set([0x55, 0xaa, 0xeb, 0x6a], 0x1fe)
  image.write('HdrS', 0x202)
  image.writeUInt16LE(version, 0x206)
  image[0x211] = 1
  image.writeUInt32LE(LOAD_GPA, 0x214)
  image.writeUInt32LE(0x7fff_ffff, 0x22c)
  image.writeUInt32LE(0x20_0000, 0x230)
  image[0x234] = 1
  image.writeUInt16LE(xloadflags, 0x236)
  image.writeUInt32LE(2047, 0x238)
  image.writeBigUInt64LE(0x20_0000n, 0x258)
  image.writeUInt32LE(initSize, 0x260)
  return image
}

function whole(shape) {
  const { format, bytes = 0, entry = LOAD_GPA, flags = 3 } = shape
  const fill = Buffer.from(shape.fill ?? 'f4', 'hex')
  const none = Buffer.alloc(0)
  switch (format) {
    case 'elf32':
      return elf(32, shape, none, fill)
    case 'elf64':
      return elf(64, shape, none, fill)
    case 'multiboot-elf':
      return elf(32, { entry: entry + 12, ...shape }, multibootHeader(flags), fill)
    case 'multiboot': {
      const fields = words(LOAD_GPA, LOAD_GPA, 0, 0, LOAD_GPA + 0x30)
      const start = Buffer.concat([multibootHeader(flags | 0x1_0000), fields])
      return Buffer.concat([start, Buffer.alloc(Math.max(bytes - start.length, 64), fill)])
    }
    case 'pvh': {
      const note = { type: PT_NOTE, at: 0, filesz: 20, align: 4 }
      const headers = [...(shape.headers ?? [{ at: 64 }]), note]
      return elf(shape.bits ?? 64, { ...shape, headers }, pvhNote(entry), fill)
    }
    case 'bzimage':
      return bzImage(shape, fill)
    default:
      return Buffer.alloc(Math.max(bytes, 1), fill)
  }
}

/** The image that a description describes. */
export function buildImage(shape) {
  const image = whole(shape)
  for (const [at, hex] of shape.patches ?? []) {
    const from = at < 0 ? image.length + at : at
    if (from >= 0 && from < image.length) Buffer.from(hex, 'hex').copy(image, from)
  }
  return new Uint8Array(shape.cut === undefined ? image : image.subarray(0, Math.max(shape.cut, 1)))
}
