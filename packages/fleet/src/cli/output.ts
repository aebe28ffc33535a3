/** A line on stdout. */
export function print(line: string): void {
  process.stdout.write(`${line}\n`)
}

/** A line on stderr: progress, and what is no result. */
export function tell(line: string): void {
  process.stderr.write(`vmexit: ${line}\n`)
}

/** What others chose, so that no byte of it moves a cursor. */
export function plain(text: string): string {
  return text.replaceAll(/[\p{Cc}\p{Cf}]/gu, '\uFFFD')
}

/** A duration for people. */
export function seconds(milliseconds: number): string {
  return milliseconds < 1000
    ? `${milliseconds.toFixed(0)} ms`
    : `${(milliseconds / 1000).toFixed(1)} s`
}

/** One line at the bottom of a terminal, written anew; nothing where stderr is none. */
export class LiveLine {
  readonly #isShown = process.stderr.isTTY === true
  #last = 0

  /** Shows it, at most ten times a second. */
  show(line: string): void {
    const now = performance.now()
    if (!this.#isShown || now - this.#last < 100) return
    this.#last = now
    process.stderr.write(`\r\u001B[K${line.slice(0, (process.stderr.columns ?? 80) - 1)}`)
  }

  /** Takes it away, for another line. */
  clear(): void {
    if (this.#isShown) process.stderr.write('\r\u001B[K')
  }
}
