import { setTimeout as later } from 'node:timers'

import { VmError, raise } from '../../native/errors.ts'

/** How often a screen is looked at. */
export const lookMs = 1000 / 30

/** Those who wait for something to show on one screen. */
export class Waiting {
  readonly #cut = new Set<() => void>()

  /** Looks now and again until `found`; `describe` says what shows when time is up. */
  async until(found: () => boolean, timeoutMs: number, describe: () => string): Promise<void> {
    const end = performance.now() + timeoutMs
    while (!found()) {
      const leftMs = end - performance.now()
      if (leftMs <= 0) raise(new VmError('ERR_TIMEOUT', describe()))
      await this.#pause(Math.min(lookMs, leftMs))
    }
  }

  /** The machine is closed: all look once more, and find that it is. */
  cut(): void {
    for (const wake of this.#cut) wake()
  }

  async #pause(ms: number): Promise<void> {
    let wake: () => void
    await new Promise<void>((resolve) => {
      wake = resolve
      this.#cut.add(wake)
      later(resolve, ms)
    })
    this.#cut.delete(wake!)
  }
}
