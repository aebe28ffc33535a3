import type { Duplex, Writable } from 'node:stream'

/** Ctrl-], as telnet has it. */
const escapeKey = 0x1d

/**
 * What shows a serial port's text, and stdin as its keyboard. Disposing of it puts the real
 * terminal back as it was.
 */
export class Terminal implements Disposable {
  readonly #serial: Duplex
  readonly #output: Writable
  readonly #end: () => void
  /** Whether input and output are the user's terminal. */
  readonly #isInteractive: boolean

  /**
   * `end` is called for the escape key, and for a signal that would end this process, if `typed`
   * says that there is a keyboard.
   */
  constructor(serial: Duplex, output: Writable, end: () => void, typed: boolean) {
    this.#serial = serial
    this.#output = output
    this.#end = end
    this.#isInteractive = typed && process.stdin.isTTY && output === process.stdout
    serial.pipe(output, { end: false })
    if (!typed) return
    if (this.#isInteractive) process.stdin.setRawMode(true)
    process.stdin.on('data', this.#onData)
    process.on('SIGINT', end)
    process.on('SIGTERM', end)
    process.on('SIGHUP', end)
    // Whatever ends this process, the terminal is put back.
    process.on('exit', this.#restore)
  }

  readonly #onData = (bytes: Buffer): void => {
    const escape = this.#isInteractive ? bytes.indexOf(escapeKey) : -1
    const typed = escape < 0 ? bytes : bytes.subarray(0, escape)
    if (!this.#serial.write(typed)) {
      process.stdin.pause()
      this.#serial.once('drain', () => process.stdin.resume())
    }
    if (escape >= 0) this.#end()
  }

  readonly #restore = (): void => {
    if (this.#isInteractive) process.stdin.setRawMode(false)
  }

  /** Resolves when everything that the guest has sent is shown. */
  async drained(): Promise<void> {
    while (this.#serial.readableLength > 0 || this.#output.writableLength > 0) {
      await new Promise((resolve) => setTimeout(resolve, 1))
    }
  }

  [Symbol.dispose](): void {
    this.#serial.unpipe(this.#output)
    this.#restore()
    process.stdin.off('data', this.#onData)
    process.stdin.pause()
    process.off('SIGINT', this.#end)
    process.off('SIGTERM', this.#end)
    process.off('SIGHUP', this.#end)
    process.off('exit', this.#restore)
  }
}
