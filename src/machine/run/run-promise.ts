/**
 * The promise of a run. As soon as the promise is awaited, the run holds the event loop, and keeps
 * its machine from the garbage collector. A run that is not awaited ends with the process, or with
 * its machine.
 */
export class RunPromise<T> extends Promise<T> {
  #onWait: (() => void) | undefined

  /** What `then` returns is an ordinary promise. */
  static override get [Symbol.species](): PromiseConstructor {
    return Promise
  }

  /** A promise that reports when it is awaited. */
  static make<T>(
    executor: (resolve: (result: T) => void, reject: (error: unknown) => void) => void,
    onWait: (() => void) | undefined,
  ): RunPromise<T> {
    const promise = new RunPromise(executor)
    promise.#onWait = onWait
    return promise
  }

  // `await` calls this too. A mere `catch` does not await it, but awaiting the promise that `catch`
  // returns does.
  // oxlint-disable-next-line unicorn/no-thenable
  override then<Result = T, Failed = never>(
    onfulfilled?: ((value: T) => Result | PromiseLike<Result>) | null,
    onrejected?: ((reason: unknown) => Failed | PromiseLike<Failed>) | null,
  ): Promise<Result | Failed> {
    const next = super.then(onfulfilled, onrejected)
    if (typeof onfulfilled !== 'function') {
      return RunPromise.make<Result | Failed>((resolve) => resolve(next as never), this.#onWait)
    }
    this.#onWait?.()
    return next
  }
}
