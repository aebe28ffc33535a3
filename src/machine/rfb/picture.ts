import type { Area } from './pixel-format.ts'

/** What is shown. */
export interface ScreenSource {
  readonly width: number
  readonly height: number
  /** RGBA, line by line, in a buffer of its own that nobody writes to any more. */
  pixels(): Uint8Array
  on(event: 'change', listener: () => void): unknown
  off(event: 'change', listener: () => void): unknown
}

/** A tile is what is compared, and sent when it differs. */
const tileWidth = 64
const tileHeight = 16

/** How old a picture may be for one who wants it afresh. */
const freshMs = 30

/**
 * The last look at a screen, shared by all viewers. Each tile has a number that grows when it
 * changes; so a viewer needs no copy of what it has, but the numbers.
 */
export class Picture {
  readonly #source: ScreenSource
  #pixels: Uint32Array = new Uint32Array(0)
  #numbers: Uint32Array = new Uint32Array(0)
  #width = 0
  #height = 0
  #last = 0
  #lookedAt = Number.NEGATIVE_INFINITY

  constructor(source: ScreenSource) {
    this.#source = source
  }

  get width(): number {
    return this.#width
  }

  get height(): number {
    return this.#height
  }

  /** A word for each pixel, red lowest. It does not change: the next look has its own. */
  get pixels(): Uint32Array {
    return this.#pixels
  }

  /** A viewer that has nothing: as many tiles, each of number 0. */
  nothing(): Uint32Array {
    return new Uint32Array(this.#numbers.length)
  }

  /** Looks at the screen, unless that was just done. */
  refresh(): void {
    if (performance.now() - this.#lookedAt >= freshMs) this.look()
  }

  /** Looks at the screen. */
  look(): void {
    const { width, height } = this.#source
    const pixels = new Uint32Array(this.#source.pixels().buffer)
    this.#lookedAt = performance.now()
    const before = this.#pixels
    const isNew = width !== this.#width || height !== this.#height
    this.#pixels = pixels
    this.#width = width
    this.#height = height
    if (isNew) {
      this.#numbers = new Uint32Array(this.#columns * Math.ceil(height / tileHeight))
      this.#numbers.fill(++this.#last)
      return
    }
    this.#last++
    this.#numbers.forEach((_, tile) => {
      if (this.#differs(before, this.areaOf(tile))) this.#numbers[tile] = this.#last
    })
  }

  /** Forgets that a viewer has the tiles that touch an area. */
  forget(had: Uint32Array, area: Area): void {
    for (let tile = 0; tile < had.length; tile++) {
      if (touches(this.areaOf(tile), area)) had[tile] = 0
    }
  }

  /**
   * The tiles touching an area that differ from what a viewer has, as rectangles; it has them from
   * now on.
   */
  take(had: Uint32Array, area: Area): Area[] {
    const found: Area[] = []
    this.#numbers.forEach((number, tile) => {
      const place = this.areaOf(tile)
      if (number === had[tile] || !touches(place, area)) return
      had[tile] = number
      const last = found.at(-1)
      if (last && last.y === place.y && last.x + last.width === place.x) last.width += place.width
      else found.push(place)
    })
    return found
  }

  get #columns(): number {
    return Math.ceil(this.#width / tileWidth)
  }

  /** Where a tile is; those at the edges may be smaller. */
  areaOf(tile: number): Area {
    const x = (tile % this.#columns) * tileWidth
    const y = Math.floor(tile / this.#columns) * tileHeight
    return {
      x,
      y,
      width: Math.min(tileWidth, this.#width - x),
      height: Math.min(tileHeight, this.#height - y),
    }
  }

  #differs(before: Uint32Array, { x, y, width, height }: Area): boolean {
    const now = this.#pixels
    for (let line = y; line < y + height; line++) {
      const first = line * this.#width + x
      for (let at = first; at < first + width; at++) if (now[at] !== before[at]) return true
    }
    return false
  }
}

function touches(one: Area, other: Area): boolean {
  return (
    one.x < other.x + other.width &&
    other.x < one.x + one.width &&
    one.y < other.y + other.height &&
    other.y < one.y + one.height
  )
}
