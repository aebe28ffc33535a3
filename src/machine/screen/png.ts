import { deflateSync } from 'node:zlib'

const signature = Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a)

/** A picture of red, green and blue, a byte each, as a PNG file (PNG specification, 3rd ed.). */
export function encodePng(width: number, height: number, rgba: Uint8Array): Uint8Array {
  const header = new Uint8Array(13)
  const view = new DataView(header.buffer)
  view.setUint32(0, width)
  view.setUint32(4, height)
  // Eight bits of each of three colours; compression, filters and order as they are always.
  header.set([8, 2, 0, 0, 0], 8)
  const data = deflateSync(rowsOf(width, height, rgba))
  const parts = [chunk('IHDR', header), chunk('IDAT', data), chunk('IEND', new Uint8Array())]
  return new Uint8Array(Buffer.concat([signature, ...parts]))
}

/** Each row after the number of its filter, which is none. */
function rowsOf(width: number, height: number, rgba: Uint8Array): Uint8Array {
  const rows = new Uint8Array(height * (1 + width * 3))
  let to = 0
  let from = 0
  for (let row = 0; row < height; row++) {
    to++
    for (const end = from + width * 4; from < end; from += 4) {
      rows[to++] = rgba[from]!
      rows[to++] = rgba[from + 1]!
      rows[to++] = rgba[from + 2]!
    }
  }
  return rows
}

function chunk(type: string, data: Uint8Array): Uint8Array {
  const bytes = Buffer.alloc(data.length + 12)
  bytes.writeUInt32BE(data.length)
  bytes.write(type, 4, 'latin1')
  bytes.set(data, 8)
  bytes.writeUInt32BE(crc32(bytes.subarray(4, data.length + 8)), data.length + 8)
  return bytes
}

const remainders = Int32Array.from({ length: 256 }, (_, byte) => {
  let rest = byte
  for (let bit = 0; bit < 8; bit++) rest = rest & 1 ? (rest >>> 1) ^ 0xedb88320 : rest >>> 1
  return rest
})

function crc32(bytes: Uint8Array): number {
  let rest = -1
  for (const byte of bytes) rest = remainders[(rest ^ byte) & 0xff]! ^ (rest >>> 8)
  return ~rest >>> 0
}
