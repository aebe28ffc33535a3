const newline = 0x0a

/** Cuts a stream of bytes into lines, and keeps no more than one line that is not whole. */
export class Lines {
  readonly #maxBytes: number
  #parts: Buffer[] = []
  #bytes = 0

  /** Of at most so many bytes each, without the newline. */
  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes
  }

  /** The lines that are whole now; undefined when one is too long, after which nothing is kept. */
  take(chunk: Buffer): Buffer[] | undefined {
    const whole: Buffer[] = []
    let from = 0
    for (let to = chunk.indexOf(newline); to >= 0; to = chunk.indexOf(newline, from)) {
      if (!this.#keep(chunk.subarray(from, to))) return undefined
      whole.push(this.#parts.length === 1 ? this.#parts[0]! : Buffer.concat(this.#parts))
      this.#forget()
      from = to + 1
    }
    if (from < chunk.length && !this.#keep(chunk.subarray(from))) return undefined
    return whole
  }

  #keep(part: Buffer): boolean {
    this.#bytes += part.length
    if (this.#bytes > this.#maxBytes) {
      this.#forget()
      return false
    }
    this.#parts.push(part)
    // Bytes that come one by one do not cost an object each.
    if (this.#parts.length >= 64) this.#parts = [Buffer.concat(this.#parts)]
    return true
  }

  #forget(): void {
    this.#parts = []
    this.#bytes = 0
  }
}
