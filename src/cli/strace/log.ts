import type { ProcessResult, SystemCall, SystemCallHandler } from '../../process/index.ts'
import { type Begun, beginCall, endCall, lineOfLast } from './text.ts'

/** A line for each system call of a process, as strace prints them. */
export class CallLog {
  readonly #write: (line: string) => void
  /** The last call, and its line if it was answered: whether it really was, is known later. */
  #last: { begun: Begun; line?: string } | undefined

  constructor(write: (line: string) => void) {
    this.#write = write
  }

  /** For `process.syscalls.set('*', …)`. */
  readonly handler: SystemCallHandler = async (call: SystemCall, next) => {
    this.#settle()
    const last: { begun: Begun; line?: string } = { begun: beginCall(call) }
    this.#last = last
    const rax = await next()
    last.line = endCall(last.begun, rax)
    // A process that ends in its call is over before anything else happens.
    setImmediate(() => this.#last === last && this.#settle())
    return rax
  }

  /** How the process ended. */
  end({ exitCode, signal, fault }: ProcessResult): void {
    if (this.#last) this.#write(lineOfLast(this.#last.begun))
    this.#last = undefined
    if (fault) {
      const address = fault.address === undefined ? '' : `, si_addr=0x${fault.address.toString(16)}`
      this.#write(`--- ${signal} {si_signo=${signal}${address}} ---\n`)
    }
    this.#write(
      exitCode === null ? `+++ killed by ${signal} +++\n` : `+++ exited with ${exitCode} +++\n`,
    )
  }

  #settle(): void {
    if (this.#last) this.#write(this.#last.line ?? lineOfLast(this.#last.begun))
    this.#last = undefined
  }
}
