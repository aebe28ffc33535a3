import { MOST_TIMER_MS } from '../engine/host-limits.ts'
import type { ProcessMachine } from './machine.ts'

/** Watches the timer that a process has set, which is over while it computes or waits. */
export class Alarm {
  readonly #machine: ProcessMachine
  readonly #ring: () => void
  #timer: ReturnType<typeof setTimeout> | undefined

  constructor(machine: ProcessMachine, ring: () => void) {
    this.#machine = machine
    this.#ring = ring
  }

  /** While the machine stands still. Whether a call that waits is interrupted. */
  look(): boolean {
    clearTimeout(this.#timer)
    const { leftMs, interrupts } = this.#machine.timer()
    if (leftMs !== undefined)
      this.#timer = setTimeout(this.#ring, Math.min(Math.ceil(leftMs), MOST_TIMER_MS))
    return interrupts
  }

  stop(): void {
    clearTimeout(this.#timer)
  }
}
