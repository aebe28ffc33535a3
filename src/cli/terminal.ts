import type { Duplex } from 'node:stream'

/** Ctrl-], as telnet has it. */
const escapeKey = 0x1d

/** stdin and stdout as the terminal of a serial port. Disposing of it puts the real terminal back as it was. */
export class Terminal implements Disposable {
  readonly #serial: Duplex
  readonly #end: () => void

  /** `end` is called for the escape key, and for a signal that would end this process. */
  constructor(serial: Duplex, end: () => void) {
    this.#serial = serial
    this.#end = end
    serial.pipe(process.stdout, { end: false })
    if (process.stdin.isTTY) process.stdin.setRawMode(true)
    process.stdin.on('data', this.#onData)
    process.on('SIGINT', end)
    process.on('SIGTERM', end)
    process.on('SIGHUP', end)
    // Whatever ends this process, the terminal is put back.
    process.on('exit', this.#restore)
  }

  readonly #onData = (bytes: Buffer): void => {
    const escape = process.stdin.isTTY ? bytes.indexOf(escapeKey) : -1
    const typed = escape < 0 ? bytes : bytes.subarray(0, escape)
    if (!this.#serial.write(typed)) {
      process.stdin.pause()
      this.#serial.once('drain', () => process.stdin.resume())
    }
    if (escape >= 0) this.#end()
  }

  readonly #restore = (): void => {
    if (process.stdin.isTTY) process.stdin.setRawMode(false)
  }

  /** Resolves when everything that the guest has sent is on stdout. */
  async drained(): Promise<void> {
    while (this.#serial.readableLength > 0 || process.stdout.writableLength > 0) {
      await new Promise((resolve) => setTimeout(resolve, 1))
    }
  }

  [Symbol.dispose](): void {
    this.#serial.unpipe(process.stdout)
    this.#restore()
    process.stdin.off('data', this.#onData)
    process.stdin.pause()
    process.off('SIGINT', this.#end)
    process.off('SIGTERM', this.#end)
    process.off('SIGHUP', this.#end)
    process.off('exit', this.#restore)
  }
}
