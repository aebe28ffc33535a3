/** Bytes of the end of a console's text that are kept in memory, for who attaches. */
export const consoleTailBytes = 64 * 1024

const leastCapacity = 4096

/**
 * Bytes that come in pieces. They are copied into one buffer, as a guest may say a million single
 * ones, of which each would be an object.
 */
export class Bytes {
  #buffer = new Uint8Array()
  #length = 0

  /** How many there are. */
  get length(): number {
    return this.#length
  }

  /** Appends a copy. */
  append(bytes: Uint8Array): void {
    const length = this.#length + bytes.length
    if (length > this.#buffer.length) {
      const larger = new Uint8Array(Math.max(length, 2 * this.#buffer.length, leastCapacity))
      larger.set(this.all())
      this.#buffer = larger
    }
    this.#buffer.set(bytes, this.#length)
    this.#length = length
  }

  /** All of them, which later ones do not change. */
  all(): Uint8Array {
    return this.#buffer.subarray(0, this.#length)
  }

  /** Forgets all but the last ones. */
  keep(count: number): void {
    this.#buffer.copyWithin(0, this.#length - count, this.#length)
    this.#length = count
  }
}

/** The last 64 KiB of what comes. */
export class Tail {
  readonly #bytes = new Bytes()

  /** Begins with these. */
  constructor(bytes: Uint8Array) {
    this.append(bytes)
  }

  /** Appends a copy. */
  append(bytes: Uint8Array): void {
    const end = bytes.subarray(-consoleTailBytes)
    // Not at each piece: that would move all the others each time.
    if (this.#bytes.length + end.length > 2 * consoleTailBytes)
      this.#bytes.keep(Math.min(consoleTailBytes, this.#bytes.length))
    this.#bytes.append(end)
  }

  /** A copy of the last ones, at most so many. */
  last(count: number): Uint8Array {
    const most = Math.min(count, consoleTailBytes)
    return most <= 0 ? new Uint8Array() : this.#bytes.all().slice(-most)
  }
}
