/** Does one thing after another. */
export class Turns {
  #last: Promise<unknown> = Promise.resolve()

  /** Does it when all before it is done, well or not. */
  take<T>(act: () => T | Promise<T>): Promise<T> {
    const turn = this.#last.then(act)
    this.#last = turn.catch(() => {})
    return turn
  }
}
