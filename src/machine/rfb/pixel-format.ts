import { drop } from './peer.ts'

/** How a viewer wants pixels: RFC 6143, section 7.4. */
export interface PixelFormat {
  bytes: 1 | 2 | 4
  isBigEndian: boolean
  /** Of red, green and blue: the largest value, and where its lowest bit is. */
  channels: readonly { most: number; shift: number }[]
}

/** What a viewer gets that asks for nothing else: 32 bits, blue in the first byte. */
export const usualFormat: PixelFormat = {
  bytes: 4,
  isBigEndian: false,
  channels: [16, 8, 0].map((shift) => ({ most: 255, shift })),
}

/** The 16 bytes that describe a format. */
export function writeFormat({ bytes, isBigEndian, channels }: PixelFormat): Buffer {
  const written = Buffer.alloc(16)
  const bits = channels.map(({ most }) => bitsOf(most))
  written.set([bytes * 8, bits.reduce((sum, it) => sum + it, 0), isBigEndian ? 1 : 0, 1])
  channels.forEach(({ most, shift }, index) => {
    written.writeUInt16BE(most, 4 + 2 * index)
    written.writeUInt8(shift, 10 + index)
  })
  return written
}

/** Reads them. A viewer that wants a colour map is dropped, as the protocol has no other answer. */
export function readFormat(written: Buffer): PixelFormat {
  const bytes = written.readUInt8(0) / 8
  if (bytes !== 1 && bytes !== 2 && bytes !== 4) return drop('no such size of a pixel')
  if (written.readUInt8(3) === 0) return drop('colour maps are not served')
  const channels = [0, 1, 2].map((index) => {
    const most = written.readUInt16BE(4 + 2 * index)
    const shift = written.readUInt8(10 + index)
    return shift + bitsOf(most) > bytes * 8 ? drop('a colour outside its pixel') : { most, shift }
  })
  return { bytes, isBigEndian: written.readUInt8(2) !== 0, channels }
}

function bitsOf(most: number): number {
  return 32 - Math.clz32(most)
}

/** A rectangle, in pixels. */
export interface Area {
  x: number
  y: number
  width: number
  height: number
}

/** Writes an area of a picture (a pixel is a word, red lowest) after `at` bytes of a new buffer. */
export type Painter = (pixels: Uint32Array, stride: number, area: Area, at: number) => Buffer

/** A painter for a format. */
export function painterOf({ bytes, isBigEndian, channels }: PixelFormat): Painter {
  const turn = isBigEndian ? swapper(bytes) : (word: number): number => word
  const tables = channels.map(({ most, shift }) =>
    Uint32Array.from({ length: 256 }, (_, value) =>
      turn(Math.round((value * most) / 255) << shift),
    ),
  )
  const [red, green, blue] = tables as [Uint32Array, Uint32Array, Uint32Array]
  // Bits of no colour are ones: there are viewers that take them for how opaque a pixel is.
  const rest = turn(~channels.reduce((used, { most, shift }) => used | (most << shift), 0))
  blue.forEach((word, value) => (blue[value] = word | rest))
  const Words = bytes === 4 ? Uint32Array : bytes === 2 ? Uint16Array : Uint8Array
  return (pixels, stride, { x, y, width, height }, at) => {
    const painted = new ArrayBuffer(at + width * height * bytes)
    const words = new Words(painted, at)
    let to = 0
    for (let line = y; line < y + height; line++) {
      const first = line * stride + x
      for (let from = first; from < first + width; from++) {
        const pixel = pixels[from]!
        words[to++] =
          red[pixel & 0xff]! | green[(pixel >>> 8) & 0xff]! | blue[(pixel >>> 16) & 0xff]!
      }
    }
    return Buffer.from(painted)
  }
}

/** Turns the bytes of a word round. */
function swapper(bytes: 1 | 2 | 4): (word: number) => number {
  const view = new DataView(new ArrayBuffer(4))
  return (word) => {
    view.setUint32(0, word)
    return view.getUint32(0, true) >>> (32 - 8 * bytes)
  }
}
