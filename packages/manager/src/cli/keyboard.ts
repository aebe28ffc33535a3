import type { Duplex } from 'node:stream'

import { tell } from './output.ts'
import { exitCodes } from './verb.ts'

/** Ctrl-], as telnet has it. */
const escapeKey = 0x1d
const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

/** Types stdin into a stream. Disposing of it puts the terminal back as it was, and hangs up. */
export class Keyboard implements Disposable {
  /** The exit code, when the user left, a signal came, or the stream has ended. */
  readonly left: Promise<number>
  readonly #stream: Duplex
  /** Whether input and output are the user's terminal. */
  readonly #isInteractive = process.stdin.isTTY && process.stdout.isTTY
  #leave!: (code: number) => void

  /** Begins at once. */
  constructor(stream: Duplex) {
    this.#stream = stream
    this.left = new Promise((resolve, reject) => {
      this.#leave = resolve
      stream.once('error', reject)
    })
    // The last bytes are shown before it is over.
    stream.once('end', this.#onEnd)
    stream.once('close', this.#onEnd)
    if (this.#isInteractive) {
      tell('attached; Ctrl-] leaves')
      process.stdin.setRawMode(true)
    }
    process.stdin.on('data', this.#onData)
    // A terminal that is gone.
    process.stdin.once('error', this.#onSignal)
    for (const signal of signals) process.on(signal, this.#onSignal)
    // Whatever ends this process, the terminal is put back.
    process.on('exit', this.#restore)
  }

  readonly #onEnd = (): void => this.#leave(exitCodes.fine)

  readonly #onSignal = (): void => this.#leave(exitCodes.interrupted)

  readonly #onData = (bytes: Buffer): void => {
    const escape = this.#isInteractive ? bytes.indexOf(escapeKey) : -1
    const typed = escape < 0 ? bytes : bytes.subarray(0, escape)
    const isTaken = !this.#stream.writable || this.#stream.write(typed)
    if (escape >= 0) return this.#leave(exitCodes.fine)
    if (isTaken) return
    process.stdin.pause()
    this.#stream.once('drain', () => process.stdin.resume())
  }

  readonly #restore = (): void => {
    if (this.#isInteractive) process.stdin.setRawMode(false)
  };

  [Symbol.dispose](): void {
    this.#restore()
    process.stdin.off('data', this.#onData)
    process.stdin.off('error', this.#onSignal)
    process.stdin.pause()
    for (const signal of signals) process.off(signal, this.#onSignal)
    process.off('exit', this.#restore)
    this.#stream.destroy()
  }
}
