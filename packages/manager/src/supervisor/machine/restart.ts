import { type Crash, endState } from '../../wire/index.ts'
import type { MachineState } from '../interface.ts'

/** When a machine that ended is started again. */
export type RestartPolicy = 'no' | 'on-failure' | 'always'

/** How long restarts wait, and how many there are. */
export interface Backoff {
  /** Before the first restart; each further one waits twice as long. */
  readonly firstMs: number
  /** The longest wait. */
  readonly longestMs: number
  /** Restarts in a row, after which the machine stays down. */
  readonly tries: number
  /** A run of at least this long begins a new row. */
  readonly healthyMs: number
}

/** What the daemon does unless told otherwise. */
export const usualBackoff: Backoff = {
  firstMs: 1000,
  longestMs: 60_000,
  tries: 10,
  healthyMs: 60_000,
}

/** How a run ended. */
export interface Outcome {
  /** `ended` when it came to an orderly end, or was asked to. */
  readonly state: Extract<MachineState, 'ended' | 'crashed'>
  /** The reason of its result, a signal, or the message of an error. */
  readonly reason: string
  /** What the guest gave a stop port. */
  readonly exitCode?: number
  /** What is known of a crash of the guest's own. */
  readonly crash?: Crash
}

/** The outcome of a run that told how it ended. */
export function outcomeOf(reason: string, exitCode?: number, crash?: Crash): Outcome {
  const state = endState(reason)
  return {
    state,
    reason,
    ...(exitCode === undefined ? {} : { exitCode }),
    ...(crash === undefined || state !== 'crashed' ? {} : { crash }),
  }
}

/** The restarts of one machine: how many there were, and the next. */
export class Restarts {
  readonly #backoff: Backoff
  #row = 0
  #timer: NodeJS.Timeout | undefined

  /** None yet. */
  constructor(backoff: Backoff) {
    this.#backoff = backoff
  }

  /** Forgets the row, as after a start by hand. */
  forget(): void {
    this.#row = 0
  }

  /** Milliseconds until the next restart, or why there is none. */
  after(policy: RestartPolicy, outcome: Outcome, ranMs: number): number | 'no' | 'enough' {
    const failed = outcome.state === 'crashed' || (outcome.exitCode ?? 0) !== 0
    if (policy === 'no' || (policy === 'on-failure' && !failed)) return 'no'
    if (ranMs >= this.#backoff.healthyMs) this.#row = 0
    if (this.#row >= this.#backoff.tries) return 'enough'
    return Math.min(this.#backoff.firstMs * 2 ** this.#row++, this.#backoff.longestMs)
  }

  /** Restarts it after so long; `cancel` is in time until then. */
  in(ms: number, restart: () => void): void {
    this.cancel()
    this.#timer = setTimeout(() => {
      this.#timer = undefined
      restart()
    }, ms).unref()
  }

  /** Forgets the restart that was to come; whether there was one. */
  cancel(): boolean {
    const waits = this.#timer !== undefined
    clearTimeout(this.#timer)
    this.#timer = undefined
    return waits
  }

  /** Restarts in a row so far. */
  get row(): number {
    return this.#row
  }
}
