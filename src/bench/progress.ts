/** One line on stderr: rewritten on a terminal, else one line for each route that is done. */
export class Progress {
  readonly #total: number
  #done = 0

  constructor(total: number) {
    this.#total = total
  }

  /** What is under way. */
  step(text: string): void {
    if (process.stderr.isTTY)
      process.stderr.write(`\r\x1b[K[${this.#done + 1}/${this.#total}] ${text}`)
  }

  /** What came of it. */
  done(text: string): void {
    this.#done += 1
    this.clear()
    process.stderr.write(`[${this.#done}/${this.#total}] ${text}\n`)
  }

  /** What the reader of the figures must know. */
  warn(text: string): void {
    this.clear()
    process.stderr.write(`warning: ${text}\n`)
  }

  clear(): void {
    if (process.stderr.isTTY) process.stderr.write('\r\x1b[K')
  }
}
