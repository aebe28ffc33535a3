import type { Asker } from '../ask.ts'
import { BackgroundRun } from './background-run.ts'
import { VmError, fromFailure, isFailure, isInternal, raise } from '../../native/errors.ts'
import type { Failure, NativeMachine, NativeRest } from '../../native/seam.ts'
import { putRegisters } from '../../options/registers.ts'
import type { CheckedRun } from '../../options/run-options.ts'
import { isAborted, reasonOf } from '../../options/signal.ts'
import type { Autopsy, ExplainOptions } from '../../results/autopsy.ts'
import { type Explains, RunResult } from '../../results/result.ts'
import type { StopHandlers } from '../../debug/stops/handlers.ts'
import type { Symbols } from '../../debug/symbols.ts'
import type { Remotes } from '../remote/remotes.ts'
import type { Parts } from '../snapshot/parts.ts'
import { RunPromise } from './run-promise.ts'
import { explainEnd } from './autopsies.ts'
import { RunReport } from './channels.ts'

/** How often a run delivers text and checks for a dying worker while there are no exits. */
const tickMs = 20

/** Who wants to know what becomes of a machine and its runs. */
interface Listener {
  /** A run has ended, or one on threads of its own has begun. */
  changed?(): void
  /** A fault of vmexit's own has closed the native machine. */
  failed?(): void
  /** Its state is that of a snapshot. */
  restored?(): void
  /** It is closed. */
  closed?(): void
}

/** The runs of one machine, one at a time. */
export class RunControl implements Explains {
  readonly #machine: NativeMachine
  readonly #asker: Asker
  readonly #remotes: Remotes
  readonly #symbols: Symbols
  readonly #stops: StopHandlers
  readonly #listeners: Listener[] = []
  #run: { background: BackgroundRun; promise: Promise<RunResult> } | undefined
  #running = false
  #closed = false
  #runs = 0

  constructor(
    machine: NativeMachine,
    asker: Asker,
    { remotes, symbols, stops }: Pick<Parts, 'remotes' | 'symbols' | 'stops'>,
  ) {
    this.#machine = machine
    this.#asker = asker
    this.#remotes = remotes
    this.#symbols = symbols
    this.#stops = stops
  }

  /** Reports to it from now on. */
  listen(listener: Listener): void {
    this.#listeners.push(listener)
  }

  #changed(): void {
    for (const listener of this.#listeners) listener.changed?.()
  }

  #failed(): void {
    for (const listener of this.#listeners) listener.failed?.()
  }

  /** Whether a run is in progress. */
  get isRunning(): boolean {
    return this.#running
  }

  /** Whether it is one that can wait for a handler's promise. */
  get mayWait(): boolean {
    return this.#run !== undefined
  }

  /** Whether `close` was called. */
  get isClosed(): boolean {
    return this.#closed
  }

  /** Whether the run is paused. */
  get isPaused(): boolean {
    return this.#run?.background.isPaused ?? false
  }

  /** Throws unless the machine is idle or paused. */
  checkIdle(): void {
    if (this.#closed) return raise(closed())
    if (this.#running && !this.isPaused) {
      const what = 'the machine is running; wait for its run to end, or stop() or pause() it first'
      return raise(new VmError('ERR_VM_BUSY', what))
    }
  }

  /** Throws unless a run can begin. */
  #checkReady(): void {
    this.checkIdle()
    if (this.#running) {
      const what =
        'the machine is paused; resume() its run and wait for the end, or stop() it first'
      return raise(new VmError('ERR_VM_BUSY', what))
    }
  }

  /** `runSync`. */
  runHere(checked: CheckedRun): RunResult {
    const report = RunReport.of(this.#machine, 'runSync')
    return report ? report.whole(() => this.#runHere(checked)) : this.#runHere(checked)
  }

  #runHere({ registers, onExit, ...limits }: CheckedRun): RunResult {
    const { timeoutMs, timeKvmRun, instructions, stepped, until } = limits
    this.#checkReady()
    this.#remotes.checkSync()
    this.#asker.begin(onExit, false)
    this.#stops.begin(until)
    this.#running = true
    this.#runs++
    try {
      const given = putRegisters(registers)
      const { ask } = this.#asker
      const asks = until !== undefined
      const ended = this.#machine.runSync(
        timeoutMs,
        tickMs,
        timeKvmRun,
        instructions,
        stepped,
        asks,
        given,
        ask,
      )
      const failure = isFailure(ended) ? fromFailure(ended) : undefined
      const rest = typeof ended === 'object' ? (ended as NativeRest) : undefined
      // The words hold it until anything else is called.
      const result = failure ? undefined : new RunResult(rest, this.#machine, this)
      if (result) this.#stops.told(result.stop)
      this.#asker.drainLast()
      if (!result) {
        const error = this.#failure(failure)
        if (isInternal(error)) this.#failed()
        return raise(error)
      }
      if (rest?.undelivered) {
        for (const { route, bytes } of rest.undelivered) this.#asker.deliver(route, bytes)
      }
      if (this.#closed || this.#asker.failure) return raise(this.#failure())
      return result
    } finally {
      this.#running = false
      this.#asker.end()
      this.#changed()
    }
  }

  /** The result of a run that `vmexit/process` has begun on the native side. */
  ended(ended: number | NativeRest | Failure): RunResult {
    this.#runs++
    if (!isFailure(ended)) {
      const rest = typeof ended === 'object' ? ended : undefined
      return new RunResult(rest, this.#machine, this)
    }
    const error = this.#closed ? closed() : fromFailure(ended)
    if (isInternal(error)) this.#failed()
    return raise(error)
  }

  /** `run`; as soon as its promise is awaited, the run keeps `holder` and the event loop alive. */
  runThere(check: () => CheckedRun, holder: object): Promise<RunResult> {
    let background: BackgroundRun | undefined
    const promise = RunPromise.make<RunResult>(
      (resolve, reject) => {
        background = this.#report(check, resolve, reject)
      },
      () => background?.hold(holder),
    )
    if (background && this.#running) {
      this.#run = { background, promise }
      this.#changed()
    }
    // A run() from a handler of the same run is ERR_VM_BUSY, not the end of the process.
    else if (this.#asker.isAsking) promise.catch(ignore)
    return promise
  }

  /** Starts a run, and tells those who listen. */
  #report(
    check: () => CheckedRun,
    resolve: (result: RunResult) => void,
    reject: (error: unknown) => void,
  ): BackgroundRun | undefined {
    const report = RunReport.of(this.#machine, 'run')
    if (!report) return this.#start(check(), resolve, reject)
    let background: BackgroundRun | undefined
    const resolved = (result: RunResult): void => {
      resolve(result)
      report.resolved(result)
    }
    const rejected = (error: unknown): void => {
      reject(error)
      report.rejected(error)
    }
    report.begin(() => {
      try {
        background = this.#start(check(), resolved, rejected)
      } catch (error) {
        rejected(error)
      }
    })
    return background
  }

  #start(
    checked: CheckedRun,
    resolve: (result: RunResult) => void,
    reject: (error: unknown) => void,
  ): BackgroundRun | undefined {
    const { onExit, until, signal } = checked
    this.#checkReady()
    if (signal && isAborted(signal)) {
      reject(reasonOf(signal))
      return undefined
    }
    this.#asker.begin(onExit, true)
    this.#stops.begin(until)
    this.#running = true
    this.#runs++
    const ended = () => {
      this.#running = false
      this.#run = undefined
      this.#changed()
    }
    const remotes = this.#remotes
    const background = new BackgroundRun(this.#machine, this.#asker, remotes, signal, ended, this)
    const told = (result: RunResult) => {
      this.#stops.told(result.stop)
      resolve(result)
    }
    background.start(checked, this.#asker.needsTicks ? tickMs : -1, told, (error) => {
      if (isInternal(error)) this.#failed()
      reject(error)
    })
    return background
  }

  /** Something waits for the end of the run that is under way: that keeps both alive. */
  hold(holder: object): void {
    this.#run?.background.hold(holder)
  }

  /** How many have begun. */
  get runs(): number {
    return this.#runs
  }

  /** `explain` of the result of a run, by its number. */
  explain(result: RunResult, run: number, options: ExplainOptions | undefined): Autopsy {
    this.checkIdle()
    if (run === this.#runs)
      return explainEnd({ machine: this.#machine, symbols: this.#symbols, result }, options)
    const what = 'explain() speaks of the last run, and the machine has run again since'
    return raise(new VmError('ERR_INVALID_OPTION', what))
  }

  /** `stop`. */
  stop(): void {
    if (this.#run) this.#run.background.stop()
    else this.#machine.stop()
  }

  /** `reset`. */
  reset(): void {
    if (this.#run) this.#run.background.reset()
    else this.#machine.reset()
  }

  /** The machine's state is that of a snapshot. */
  restored(): void {
    for (const listener of this.#listeners) listener.restored?.()
  }

  /** `pause`. */
  pause(): Promise<void> {
    if (this.#closed) return Promise.reject(closed())
    if (this.#run) return this.#run.background.pause()
    if (!this.#running) return Promise.resolve()
    const what = 'runSync() cannot be paused, as it has the only thread; use run()'
    return Promise.reject(new VmError('ERR_VM_BUSY', what))
  }

  /** `resume`. */
  resume(): void {
    if (this.#closed) return raise(closed())
    this.#run?.background.resume()
  }

  /** The machine is being closed: `handOver` is called in the asynchronous context of the run. */
  close(handOver: () => void): void {
    this.#closed = true
    if (this.#run) this.#run.background.within(handOver)
    else handOver()
  }

  /** The machine is closed. */
  cutOff(): void {
    // If the run is not awaited, its end is no unhandled rejection: it was closed on purpose.
    this.#run?.promise.catch(ignore)
    this.#run?.background.cutOff()
    for (const listener of this.#listeners) listener.closed?.()
  }

  #failure(otherwise?: VmError): VmError {
    if (this.#closed) return new VmError('ERR_VM_CLOSED', 'the machine was closed during the run')
    return this.#asker.failure ?? otherwise ?? new VmError('ERR_HANDLER', 'a handler failed')
  }
}

function closed(): VmError {
  return new VmError('ERR_VM_CLOSED', 'the machine is closed')
}

function ignore(): void {}
