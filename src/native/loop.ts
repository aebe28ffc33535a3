import { native } from './native.ts'

/** References to what is awaited, since nothing else need refer to it. */
const taken = new Set<LoopHold>()

/** A hold on the event loop, and on what has it. */
export class LoopHold {
  #holder: object | undefined

  /** Keeps the event loop turning, and `holder` from the garbage collector, until `release`. */
  take(holder: object): void {
    if (this.#holder) return
    this.#holder = holder
    taken.add(this)
    native.holdLoop()
  }

  /** Of no effect when it is not taken. */
  release(): void {
    if (!this.#holder) return
    this.#holder = undefined
    taken.delete(this)
    native.releaseLoop()
  }
}
