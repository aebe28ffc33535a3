/**
 * The promise of a run. The run holds the event loop, and keeps its machine from the garbage collector, as
 * soon as somebody waits for the result; a run that nobody waits for ends with the process, or with its
 * machine.
 */
export class RunPromise<T> extends Promise<T> {
  #onWait: (() => void) | undefined

  /** What `then` returns is an ordinary promise. */
  static override get [Symbol.species](): PromiseConstructor {
    return Promise
  }

  /** A promise that tells when somebody waits for it. */
  static make<T>(
    executor: (resolve: (result: T) => void, reject: (error: unknown) => void) => void,
    onWait: (() => void) | undefined,
  ): RunPromise<T> {
    const promise = new RunPromise(executor)
    promise.#onWait = onWait
    return promise
  }

  // `await` calls this too. A mere `catch` waits for nothing, but whoever waits for what it returns does.
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
