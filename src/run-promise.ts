import type { RunResult } from './result.ts'

/**
 * The promise of a run. The run holds the event loop, and keeps its machine from the garbage collector, as
 * soon as somebody waits for the result; a run that nobody waits for ends with the process, or with its
 * machine.
 */
export class RunPromise extends Promise<RunResult> {
  #onWait: (() => void) | undefined

  /** What `then` returns is an ordinary promise. */
  static override get [Symbol.species](): PromiseConstructor {
    return Promise
  }

  /** A promise that tells when somebody waits for it. */
  static make(
    executor: (resolve: (result: RunResult) => void, reject: (error: unknown) => void) => void,
    onWait: () => void,
  ): RunPromise {
    const promise = new RunPromise(executor)
    promise.#onWait = onWait
    return promise
  }

  // `await` calls this too. A mere `catch` waits for nothing.
  // oxlint-disable-next-line unicorn/no-thenable
  override then<Result = RunResult, Failed = never>(
    onfulfilled?: ((value: RunResult) => Result | PromiseLike<Result>) | null,
    onrejected?: ((reason: unknown) => Failed | PromiseLike<Failed>) | null,
  ): Promise<Result | Failed> {
    if (typeof onfulfilled === 'function') this.#onWait?.()
    return super.then(onfulfilled, onrejected)
  }
}
