import { clearTimeout, setTimeout as later } from 'node:timers'

import { type Peer, drop } from './peer.ts'
import type { Picture } from './picture.ts'
import {
  type Area,
  type Painter,
  type PixelFormat,
  painterOf,
  usualFormat,
} from './pixel-format.ts'

/** The encodings that are used: pixels as they are, and two that tell something else. */
const raw = 0
const desktopSize = -223
const extendedKeys = -258

/** The least time from one look for what differs to the next, however often a viewer asks. */
const paceMs = 16

const headerBytes = 12

/** What one viewer has of a picture, and what it asks for. */
export class Viewer {
  readonly #peer: Peer
  readonly #picture: Picture
  #format = usualFormat
  /** Made when it is used: a viewer may change its format for ever. */
  #painter: Painter | undefined
  #encodings: ReadonlySet<number> = new Set()
  #had: Uint32Array
  #width: number
  #height: number
  /** What it wants to see, once something differs there. */
  #wanted: Area | undefined
  /** Of that, what it wants although it has it. */
  #again: Area | undefined
  #toldOfKeys = false
  #isSending = false
  #lookedAt = Number.NEGATIVE_INFINITY
  #timer: NodeJS.Timeout | undefined

  constructor(peer: Peer, picture: Picture) {
    this.#peer = peer
    this.#picture = picture
    this.#had = picture.nothing()
    this.#width = picture.width
    this.#height = picture.height
  }

  set format(format: PixelFormat) {
    this.#format = format
    this.#painter = undefined
  }

  /** Of those it named, the ones that are known. */
  set encodings(encodings: ReadonlySet<number>) {
    this.#encodings = encodings
  }

  /** It wants what is in an area: only what it has not yet, or everything. */
  request(area: Area, isIncremental: boolean): void {
    this.#wanted = around(this.#wanted, area)
    if (!isIncremental) this.#again = around(this.#again, area)
    this.look()
  }

  /** Sends what it waits for, if there is something, now or soon. */
  look(): void {
    if (this.#isSending || this.#timer || !this.#wanted) return
    const waitMs = this.#lookedAt + paceMs - performance.now()
    if (waitMs <= 0) return void this.#send(this.#wanted)
    this.#timer = later(() => {
      this.#timer = undefined
      this.look()
    }, waitMs).unref()
  }

  /** Nothing follows. */
  close(): void {
    clearTimeout(this.#timer)
    this.#wanted = undefined
    this.#peer.close()
  }

  async #send(wanted: Area): Promise<void> {
    this.#isSending = true
    this.#lookedAt = performance.now()
    try {
      if (this.#again) this.#picture.refresh()
      const news = this.#news()
      if (this.#again) this.#picture.forget(this.#had, this.#again)
      this.#again = undefined
      const areas = this.#picture.take(this.#had, wanted)
      if (news.length + areas.length === 0) return
      this.#wanted = undefined
      await this.#sendAreas(news, areas)
    } catch {
      this.close()
    } finally {
      this.#isSending = false
    }
    this.look()
  }

  /** One piece after another, so that a slow viewer has no more than one waiting for it. */
  async #sendAreas(news: readonly Buffer[], areas: readonly Area[]): Promise<void> {
    const { pixels, width } = this.#picture
    const painter = (this.#painter ??= painterOf(this.#format))
    const head = Buffer.alloc(4)
    head.writeUInt16BE(news.length + areas.length, 2)
    await this.#peer.write(Buffer.concat([head, ...news]))
    for (const area of areas) {
      const painted = painter(pixels, width, area, headerBytes)
      writeHeader(painted, area, raw)
      await this.#peer.write(painted)
    }
  }

  /** Rectangles without pixels. */
  #news(): Buffer[] {
    const news: Buffer[] = []
    const tell = (encoding: number, width: number, height: number): void => {
      const header = Buffer.alloc(headerBytes)
      writeHeader(header, { x: 0, y: 0, width, height }, encoding)
      news.push(header)
    }
    const { width, height } = this.#picture
    if (width !== this.#width || height !== this.#height) {
      if (!this.#encodings.has(desktopSize)) drop('it cannot follow another size')
      this.#width = width
      this.#height = height
      this.#had = this.#picture.nothing()
      tell(desktopSize, width, height)
    }
    if (!this.#toldOfKeys && this.#encodings.has(extendedKeys)) {
      this.#toldOfKeys = true
      tell(extendedKeys, 0, 0)
    }
    return news
  }
}

/** Encodings that a viewer may name to some effect. */
export const knownEncodings: readonly number[] = [raw, desktopSize, extendedKeys]

function writeHeader(bytes: Buffer, { x, y, width, height }: Area, encoding: number): void {
  ;[x, y, width, height].forEach((value, index) => bytes.writeUInt16BE(value, 2 * index))
  bytes.writeInt32BE(encoding, 8)
}

function around(one: Area | undefined, other: Area): Area {
  if (!one) return other
  const x = Math.min(one.x, other.x)
  const y = Math.min(one.y, other.y)
  const width = Math.max(one.x + one.width, other.x + other.width) - x
  const height = Math.max(one.y + one.height, other.y + other.height) - y
  return { x, y, width, height }
}
