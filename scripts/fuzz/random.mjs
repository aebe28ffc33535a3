// Random numbers that a seed and a step decide, so that any step can be made again alone.

/** A number of 32 bits that every character of a text has its share in (FNV-1a). */
function hash(text) {
  let state = 0x811c_9dc5
  for (const character of text) state = Math.imul(state ^ character.codePointAt(0), 0x0100_0193)
  return state >>> 0
}

/** Values at the edges of types, pages and our own limits. */
const EDGES = [
  ...[0, 1, 2, 3, 7, 8, 0x7f, 0x80, 0xff, 0x100, 0xfff, 0x1000, 0x7fff, 0xffff, 0x1_0000, 0xf_ffff],
  ...[0x10_0000, 0x20_0000, 0x7fff_ffff, 0x8000_0000, 0xfe00_0000, 0xffff_ffff, 0x1_0000_0000],
]

/** Mulberry32: as random as this needs. */
export class Random {
  #state

  constructor(seed, step) {
    this.#state = hash(`${seed}/${step}`)
  }

  /** 32 bits. */
  next() {
    this.#state = (this.#state + 0x6d2b_79f5) >>> 0
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return (mixed ^ (mixed >>> 14)) >>> 0
  }

  /** 0 to `end` - 1. */
  below(end) {
    return Math.floor((this.next() / 2 ** 32) * end)
  }

  /** `from` to `to`. */
  between(from, to) {
    return from + this.below(to - from + 1)
  }

  /** True once in `times`. */
  oneIn(times) {
    return this.below(times) === 0
  }

  pick(values) {
    return values[this.below(values.length)]
  }

  /** As many as `count`, each made by `make`. */
  several(count, make) {
    return Array.from({ length: count }, (_, index) => make(index))
  }

  /** A whole number of up to 33 bits as programs meet them: small, at an edge, or anything. */
  integer() {
    const bits = [() => this.next(), () => this.next() >>> this.below(32), () => this.pick(EDGES)]
    return this.pick(bits)()
  }

  /** 64 bits, in hexadecimal. */
  wide() {
    if (this.oneIn(2)) return `0x${this.integer().toString(16)}`
    return this.oneIn(4)
      ? '0xffffffffffffffff'
      : `0x${this.next().toString(16)}${this.next().toString(16).padStart(8, '0')}`
  }

  /** Bytes in hexadecimal. */
  hex(bytes) {
    return this.several(bytes, () => this.below(256).toString(16).padStart(2, '0')).join('')
  }
}
