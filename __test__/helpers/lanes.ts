/** A few works at a time, for those that take a processor or more each. */
export class Lanes {
  readonly #lanes: Promise<unknown>[]
  #turns = 0

  constructor(count: number) {
    this.#lanes = Array.from({ length: count }, () => Promise.resolve())
  }

  /** Begins a work when the one that was begun before it in its lane is done. */
  inTurn<T>(work: () => Promise<T>): Promise<T> {
    const lane = this.#turns++ % this.#lanes.length
    const done = this.#lanes[lane]!.then(work)
    this.#lanes[lane] = done.catch(() => undefined)
    return done
  }
}
