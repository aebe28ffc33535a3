// PNG files, as far as vmexit writes them.
import { inflateSync } from 'node:zlib'

/** A picture: red, green and blue of each pixel, row by row. */
export interface Picture {
  readonly width: number
  readonly height: number
  readonly rgb: Buffer
}

/** Reads a file of eight bits for each of three colours, whose rows have no filter. */
export function decodePng(file: Uint8Array): Picture {
  const bytes = Buffer.from(file)
  if (bytes.toString('latin1', 0, 8) !== '\x89PNG\r\n\x1A\n') throw new Error('no PNG file')
  const chunks = new Map<string, Buffer>()
  for (let at = 8; at < bytes.length;) {
    const length = bytes.readUInt32BE(at)
    chunks.set(bytes.toString('latin1', at + 4, at + 8), bytes.subarray(at + 8, at + 8 + length))
    at += length + 12
  }
  const header = chunks.get('IHDR')!
  const [width, height] = [header.readUInt32BE(0), header.readUInt32BE(4)]
  if (header.toString('hex', 8) !== '0802000000') throw new Error('another kind of PNG file')
  const rows = inflateSync(chunks.get('IDAT')!)
  const rowBytes = width * 3 + 1
  const parts = Array.from({ length: height }, (_, row) => {
    if (rows[row * rowBytes] !== 0) throw new Error('a row with a filter')
    return rows.subarray(row * rowBytes + 1, (row + 1) * rowBytes)
  })
  return { width, height, rgb: Buffer.concat(parts) }
}
