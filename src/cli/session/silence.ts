import { native } from '../../native/native.ts'

/** Ends the run of a guest that prints nothing at all: it would look as if it booted for ever. */
export class Silence {
  /** Whether it came to that. */
  gaveUp = false
  readonly #limitMs: number
  #timer: NodeJS.Timeout | undefined

  /** A limit of 0 is none. */
  constructor(limitMs: number) {
    this.#limitMs = limitMs
  }

  /** From now on. */
  start(stop: () => void): void {
    if (this.#limitMs === 0) return
    this.#timer = setTimeout(() => {
      this.gaveUp = true
      stop()
    }, this.#limitMs)
  }

  /** Something was printed, or the run is over. */
  end(): void {
    clearTimeout(this.#timer)
  }

  /** What happened, and why that is no surprise on some hosts. */
  describe(): string {
    const what = `the guest printed nothing for ${this.#limitMs / 1000} s`
    return native.hostBackend() === 'kvm_pvm'
      ? `${what} (kvm_pvm emulates ring 0 instruction by instruction, and stock kernels do not boot on it)`
      : what
  }
}
