import { LoopHold } from '../../native/loop.ts'

/** One pause of a run, from the call until the run goes on or is over. */
export class Pause {
  readonly #hold = new LoopHold()
  readonly #promise: Promise<void>
  #resolve: () => void = () => undefined
  /** Of the run's time, what is left. */
  #leftMs: number | undefined
  #isWanted = true

  /** What it is a pause of is kept until it has begun. */
  constructor(run: object) {
    this.#promise = new Promise((resolve) => {
      this.#resolve = resolve
    })
    // The vCPUs leave at once; nobody may stay behind who waits for that.
    this.#hold.take(run)
  }

  /** Somebody wants it, perhaps again. */
  wanted(): Promise<void> {
    this.#isWanted = true
    return this.#promise
  }

  /** Nobody wants it any more, before it has begun. */
  unwanted(): void {
    this.#isWanted = false
  }

  /** Whether it is still wanted. */
  get isWanted(): boolean {
    return this.#isWanted
  }

  /** Whether all vCPUs have left the guest. */
  get hasBegun(): boolean {
    return this.#leftMs !== undefined
  }

  /** They have; the clock of the run stands still. */
  begin(deadline: number): void {
    this.#leftMs = deadline - performance.now()
    this.#release()
  }

  /** The run goes on, until the deadline that is returned. */
  end(deadline: number): number {
    this.#release()
    return this.#leftMs === undefined ? deadline : performance.now() + this.#leftMs
  }

  #release(): void {
    this.#hold.release()
    this.#resolve()
  }
}
