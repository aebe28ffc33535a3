import { native } from '../native.ts'
import type { VirtualMachine } from '../virtual-machine.ts'

/** Stops a machine whose guest prints nothing at all: it would look as if it booted for ever. */
export class Silence {
  /** Whether it came to that. */
  gaveUp = false
  readonly #limitMs: number
  readonly #timer: NodeJS.Timeout | undefined

  /** A limit of 0 is none. */
  constructor(vm: VirtualMachine, limitMs: number) {
    this.#limitMs = limitMs
    if (limitMs === 0) return
    this.#timer = setTimeout(() => {
      this.gaveUp = true
      vm.stop()
    }, limitMs)
    vm.serial.once('data', () => this.end())
  }

  /** Something was printed, or the run is over. */
  end(): void {
    clearTimeout(this.#timer)
  }

  /** What happened, and why that is no surprise on some hosts. */
  describe(): string {
    const what = `printed nothing for ${this.#limitMs / 1000} s`
    return native.hostBackend() === 'kvm_pvm'
      ? `${what} (kvm_pvm emulates ring 0 instruction by instruction, and stock kernels do not boot on it)`
      : what
  }
}
