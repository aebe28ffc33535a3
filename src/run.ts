import type { Asker } from './ask.ts'
import { VmError, fromFailure, isFailure } from './errors.ts'
import { native } from './native.ts'
import { RunResult } from './result.ts'
import type { Failure, NativeMachine, NativeOutcome, NativeRunLimits } from './seam.ts'

/** Machines whose run somebody waits for: nothing else need refer to them. */
const awaited = new Set<object>()

/** One run on a thread of its own, from its start until its promise is settled. */
export class BackgroundRun {
  readonly #machine: NativeMachine
  readonly #asker: Asker
  readonly #signal: AbortSignal | undefined
  readonly #onEnd: () => void
  #resolve: (result: RunResult) => void = () => undefined
  #reject: (error: unknown) => void = () => undefined
  #held: object | undefined
  #over = false

  constructor(
    machine: NativeMachine,
    asker: Asker,
    signal: AbortSignal | undefined,
    onEnd: () => void,
  ) {
    this.#machine = machine
    this.#asker = asker
    this.#signal = signal
    this.#onEnd = onEnd
  }

  /** Starts the thread. */
  start(
    limits: NativeRunLimits,
    resolve: (result: RunResult) => void,
    reject: (error: unknown) => void,
  ): void {
    this.#resolve = resolve
    this.#reject = reject
    this.#signal?.addEventListener('abort', this.#abort)
    const failure = this.#machine.start(limits, this.#asker.ask, this.#settle)
    if (failure) this.#end(() => reject(fromFailure(failure)))
  }

  /** Somebody waits for the result. */
  hold(machine: object): void {
    if (this.#over || this.#held) return
    this.#held = machine
    awaited.add(machine)
    native.holdLoop()
  }

  /** The machine was closed under it. */
  cutOff(): void {
    this.#end(() =>
      this.#reject(new VmError('ERR_VM_CLOSED', 'the machine was closed during the run')),
    )
  }

  readonly #abort = (): void => this.#machine.stop()

  readonly #settle = (outcome: NativeOutcome | Failure): void => {
    if (isFailure(outcome)) {
      const error = this.#asker.failure ?? fromFailure(outcome)
      return this.#end(() => this.#reject(error))
    }
    void this.#deliver(outcome)
  }

  async #deliver(outcome: NativeOutcome): Promise<void> {
    for (const { route, bytes } of outcome.undelivered) {
      await this.#asker.deliver(route, bytes)
      if (this.#over) return
    }
    const { failure } = this.#asker
    this.#end(() => (failure ? this.#reject(failure) : this.#finish(new RunResult(outcome))))
  }

  #finish(result: RunResult): void {
    if (this.#signal?.aborted) this.#reject(this.#signal.reason)
    else this.#resolve(result)
  }

  #end(settle: () => void): void {
    if (this.#over) return
    this.#over = true
    this.#signal?.removeEventListener('abort', this.#abort)
    this.#asker.end()
    this.#onEnd()
    if (this.#held) {
      awaited.delete(this.#held)
      this.#held = undefined
      native.releaseLoop()
    }
    settle()
  }
}
