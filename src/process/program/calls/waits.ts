import { MOST_TIMER_MS } from '../../engine/host-limits.ts'

/** What a call that waits can be ended by, beside what it waits for. */
export class Waits {
  #interrupt: ((answer: bigint) => void) | undefined
  #interrupted: bigint | undefined
  #isOver = false
  readonly #begun: () => void

  /** `begun` is called when something has begun to wait. */
  constructor(begun: () => void) {
    this.#begun = begun
  }

  get isWaiting(): boolean {
    return this.#interrupt !== undefined
  }

  /** The process is over: whatever waits ends, and its answer is not looked at. */
  end(): void {
    this.#isOver = true
    this.#interrupt?.(0n)
  }

  /** What waits, or would in the same call, ends with this answer. */
  interrupt(answer: bigint): void {
    if (this.#interrupt) this.#interrupt(answer)
    else this.#interrupted = answer
  }

  /** The call is answered. */
  forget(): void {
    this.#interrupted = undefined
  }

  /**
   * Waits for a call of `wake`, which `begin` arranges, returning how it is taken back: `undefined`
   * then, or the answer of what has interrupted it.
   */
  until(begin: (wake: () => void) => () => void): Promise<bigint | undefined> {
    if (this.#isOver) return Promise.resolve(0n)
    if (this.#interrupted !== undefined) return Promise.resolve(this.#interrupted)
    return new Promise((resolve) => {
      const end = (answer: bigint | undefined): void => {
        this.#interrupt = undefined
        cancel()
        resolve(answer)
      }
      this.#interrupt = end
      const cancel = begin(() => end(undefined))
      this.#begun()
    })
  }

  /** Waits until something else ends it. */
  async forever(): Promise<bigint> {
    return (await this.until(() => () => {})) ?? 0n
  }
}

/** Waits until a time of `performance.now()`: 0, or the answer of what has interrupted it. */
export async function sleepUntil(waits: Waits, end: number): Promise<bigint> {
  for (;;) {
    const left = end - performance.now()
    if (left <= 0) return 0n
    const woken = await waits.until((wake) => {
      const timer = setTimeout(wake, Math.min(Math.ceil(left), MOST_TIMER_MS))
      return () => clearTimeout(timer)
    })
    if (woken !== undefined) return woken
  }
}
