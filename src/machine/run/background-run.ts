import { clearTimeout, setTimeout } from 'node:timers'

import type { Asker } from '../ask.ts'
import { RunContext, outside } from '../../native/context.ts'
import { VmError, fromFailure, isFailure, raise } from '../../native/errors.ts'
import { LoopHold } from '../../native/loop.ts'
import { native } from '../../native/native.ts'
import type { Remotes } from '../remote/remotes.ts'
import { Pause } from './pause.ts'
import { type Explains, RunResult } from '../../results/result.ts'
import type { Failure, NativeMachine, NativeRest, NativeText } from '../../native/seam.ts'
import { putRegisters } from '../../options/registers.ts'
import type { CheckedRun } from '../../options/run-options.ts'
import { isAborted, listen, reasonOf, unlisten } from '../../options/signal.ts'

/** The longest delay that a timer takes, 24 days. */
const maxTimerMs = 2 ** 31 - 1

/** After handlers that took longer the event loop gets its turn. */
const slowMs = 5

/** One run on a thread of its own, from its start until its promise is settled. */
export class BackgroundRun {
  readonly #machine: NativeMachine
  readonly #asker: Asker
  readonly #remotes: Remotes
  readonly #signal: AbortSignal | undefined
  readonly #onEnd: () => void
  readonly #explains: Explains
  readonly #context = new RunContext()
  #resolve: (result: RunResult) => void = () => undefined
  #reject: (error: unknown) => void = () => undefined
  readonly #hold = new LoopHold()
  #over = false
  /** The guest's run has ended; handlers may be at work yet. */
  #hasEnded = false
  /** When the time-out ends the wait for handlers, on the clock of `performance`. */
  #deadline = Infinity
  #pause: Pause | undefined
  #stopped = false
  #endWait: () => void = () => undefined

  constructor(
    machine: NativeMachine,
    asker: Asker,
    remotes: Remotes,
    signal: AbortSignal | undefined,
    onEnd: () => void,
    explains: Explains,
  ) {
    this.#machine = machine
    this.#asker = asker
    this.#remotes = remotes
    this.#signal = signal
    this.#onEnd = onEnd
    this.#explains = explains
  }

  /** Starts the thread. */
  start(
    { timeoutMs, timeKvmRun, instructions, stepped, until, registers }: CheckedRun,
    tickMs: number,
    resolve: (result: RunResult) => void,
    reject: (error: unknown) => void,
  ): void {
    this.#resolve = resolve
    this.#reject = reject
    this.#deadline = timeoutMs < 0 ? Infinity : performance.now() + timeoutMs
    if (this.#signal) listen(this.#signal, this.#abort)
    outside(native.hangBell)
    const failure = this.#machine.start(
      timeoutMs,
      tickMs,
      timeKvmRun,
      instructions,
      stepped,
      until !== undefined,
      putRegisters(registers),
      this.#asker.ask,
      this.#settle,
      this.#context.enter,
      this.#remotes.serve,
    )
    if (failure) this.#end(() => reject(fromFailure(failure)))
  }

  /** The result is awaited. */
  hold(machine: object): void {
    if (!this.#over) this.#hold.take(machine)
  }

  /** Ends the guest's run, and the wait for handlers after it. */
  stop(): void {
    this.#cut(() => this.#machine.stop())
  }

  /** The same, as a reset. */
  reset(): void {
    this.#cut(() => this.#machine.reset())
  }

  #cut(end: () => void): void {
    this.#stopped = true
    if (this.isPaused) this.#endPause()
    end()
    this.#endWait()
  }

  /** Whether its vCPUs have left the guest for a pause. */
  get isPaused(): boolean {
    return this.#pause?.hasBegun ?? false
  }

  /** `pause`. */
  pause(): Promise<void> {
    if (this.#hasEnded) return Promise.resolve()
    if (!this.#pause) {
      const failure = this.#machine.pause()
      if (failure) return Promise.reject(fromFailure(failure))
      this.#pause = new Pause(this)
    }
    return this.#pause.wanted()
  }

  /** `resume`. */
  resume(): void {
    const pause = this.#pause
    if (!pause) return
    // All vCPUs have to be back before they can start again.
    if (!pause.hasBegun) return pause.unwanted()
    const failure = this.#machine.resume()
    if (failure) return raise(fromFailure(failure))
    this.#endPause()
  }

  /** All vCPUs have left the guest. */
  #paused(): void {
    const pause = this.#pause
    if (!pause) return
    pause.begin(this.#deadline)
    if (pause.isWanted) return
    try {
      this.resume()
    } catch {
      // No thread can be had for it: it stays paused, and the next resume() says why.
    }
  }

  /** The run goes on, or is over. */
  #endPause(): void {
    const pause = this.#pause
    this.#pause = undefined
    if (pause) this.#deadline = pause.end(this.#deadline)
  }

  /** Calls in the asynchronous context of the caller that started the run. */
  within(call: () => void): void {
    this.#context.within(call)
  }

  /** The machine was closed under it. */
  cutOff(): void {
    this.#end(() =>
      this.#reject(new VmError('ERR_VM_CLOSED', 'the machine was closed during the run')),
    )
  }

  readonly #abort = (): void => this.stop()

  readonly #settle = (ended?: number | NativeRest | Failure): void => {
    if (ended === undefined) return this.#paused()
    this.#hasEnded = true
    this.#endPause()
    if (isFailure(ended)) {
      // After these no promise is awaited.
      this.#stopped = true
      void this.#fail(ended)
      return
    }
    const rest = typeof ended === 'object' ? ended : undefined
    const result = new RunResult(rest, this.#machine, this.#explains)
    if (result.reason === 'stopped' || result.reason === 'timeout') this.#stopped = true
    void this.#deliver(result, rest?.undelivered ?? [])
  }

  async #fail(outcome: Failure): Promise<void> {
    await this.#handOverPosted()
    const error = this.#asker.failure ?? fromFailure(outcome)
    this.#end(() => this.#reject(error))
  }

  async #deliver(result: RunResult, undelivered: readonly NativeText[]): Promise<void> {
    await this.#handOverPosted()
    if (this.#over) return
    for (const { route, bytes } of undelivered) {
      const settled = this.#asker.deliver(route, bytes)
      if (settled) await this.#wait(settled)
      if (this.#over) return
    }
    const { failure } = this.#asker
    this.#end(() => (failure ? this.#reject(failure) : this.#finish(result)))
  }

  /** Hands over what is left, a batch of each route. */
  async #handOverPosted(): Promise<void> {
    // Consumers at work finish first; after a stop they are not waited for.
    const { atWork } = this.#asker
    if (atWork.length > 0) await this.#wait(Promise.all(atWork))
    const consumers: Promise<void>[] = []
    let begin = performance.now()
    for (const settled of this.#asker.drainEach()) {
      if (settled) consumers.push(settled)
      if (performance.now() - begin > slowMs) {
        await new Promise((resolve) => setTimeout(resolve))
        begin = performance.now()
      }
      if (this.#over) return
    }
    if (consumers.length > 0) await this.#wait(Promise.all(consumers))
  }

  get #mayWait(): boolean {
    return !this.#stopped && this.#deadline > performance.now()
  }

  /** Waits for a handler's promise no longer than the run itself would have. */
  async #wait(settled: Promise<unknown>): Promise<void> {
    const leftMs = this.#deadline - performance.now()
    if (!this.#mayWait) return
    const ended = new Promise<void>((resolve) => {
      this.#endWait = resolve
    })
    // A timer would keep the machine from the garbage collector, so there is one only where it is
    // needed.
    const timer = leftMs <= maxTimerMs ? setTimeout(this.#endWait, leftMs).unref() : undefined
    await Promise.race([settled, ended])
    clearTimeout(timer)
  }

  #finish(result: RunResult): void {
    if (this.#signal && isAborted(this.#signal)) this.#reject(reasonOf(this.#signal))
    else this.#resolve(result)
  }

  #end(settle: () => void): void {
    if (this.#over) return
    this.#over = true
    this.#hasEnded = true
    this.#endPause()
    this.#endWait()
    if (this.#signal) unlisten(this.#signal, this.#abort)
    this.#asker.end()
    this.#context.leave()
    this.#onEnd()
    this.#hold.release()
    settle()
  }
}
