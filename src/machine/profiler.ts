import { clearTimeout, setTimeout } from 'node:timers'

import type { Symbols } from '../debug/symbols.ts'
import { VmError, raise, take } from '../native/errors.ts'
import type { NativeMachine } from '../native/seam.ts'
import { checkRunOptions } from '../options/run-options.ts'
import { isAborted, listen, reasonOf, unlisten } from '../options/signal.ts'
import { type CheckedProfile, checkProfile } from '../profile/options.ts'
import { Profile } from '../profile/profile.ts'
import type { RunControl } from './run/run-control.ts'

/** The longest delay that a timer takes, 24 days. */
const maxTimerMs = 2 ** 31 - 1

/** The profiles of one machine, one at a time. */
export class Profiler {
  readonly #machine: NativeMachine
  readonly #control: RunControl
  readonly #symbols: Symbols
  #onEnd: () => void = () => undefined

  constructor(machine: NativeMachine, control: RunControl, symbols: Symbols) {
    this.#machine = machine
    this.#control = control
    this.#symbols = symbols
    control.listen({
      changed: () => {
        if (!control.isRunning) this.#onEnd()
      },
    })
  }

  /** `profile`; a run of it keeps `holder` alive. */
  async take(options: unknown, holder: object): Promise<Profile> {
    const control = this.#control
    const isRunning = control.isRunning
    const checked = checkProfile(options, isRunning, this.#symbols)
    const { signal, hz, namer, run } = checked
    if (isRunning && !control.mayWait) {
      const what = 'runSync() has the only thread; profile a run of run(), or the idle machine'
      return raise(new VmError('ERR_VM_BUSY', what))
    }
    if (isRunning && signal && isAborted(signal)) return raise(reasonOf(signal))
    const sampling = take(this.#machine.sample(hz))
    try {
      const result = isRunning
        ? await this.#untilOver(checked, holder)
        : await control.runThere(() => checkRunOptions(run), holder)
      return new Profile(take(sampling.end()), hz, namer, result)
    } finally {
      // Nothing, if it has ended.
      sampling.end()
    }
  }

  /** Waits for the end of the time, or of the run. */
  async #untilOver({ durationMs, signal }: CheckedProfile, holder: object): Promise<undefined> {
    this.#control.hold(holder)
    await new Promise<void>((resolve, reject) => {
      const abort = (): void => over(() => reject(reasonOf(signal!)))
      const timer =
        durationMs === undefined
          ? undefined
          : setTimeout(() => over(resolve), Math.min(durationMs, maxTimerMs))
      const over = (settle: () => void): void => {
        clearTimeout(timer)
        if (signal) unlisten(signal, abort)
        this.#onEnd = () => undefined
        settle()
      }
      this.#onEnd = () => over(resolve)
      if (signal) listen(signal, abort)
    })
    return undefined
  }
}
