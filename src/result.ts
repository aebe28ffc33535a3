import { type Exit, type ExitReason, toExit } from './exit.ts'
import type { NativeOutcome } from './seam.ts'

/**
 * Why a run ended: an exit that nobody answered, `stop()`, the time-out, a write to a `stop` route, or a
 * PC that the guest turned off or reset. `'hlt'`, `'exit-port'` and `'power-off'` are how a well-behaved guest ends.
 */
export type EndReason = ExitReason | 'stopped' | 'timeout' | 'exit-port' | 'power-off' | 'reset'

/**
 * How a run ended. Whatever the guest does is a result, never an error.
 *
 * @example
 * ```ts
 * using vm = new VirtualMachine({
 *   mode: 'long',
 *   privilege: 'user',
 *   payload: guests.hello,
 *   routes: [
 *     { port: 0xe9, to: 'console' },
 *     { port: 0xf4, to: 'stop' },
 *   ],
 * })
 * const result = vm.runSync({ timeoutMs: 10_000 })
 * console.log(result.reason, result.exitCode) // exit-port 42
 * ```
 */
export class RunResult {
  /** Why the run ended; the same as `exit.reason` where an exit did it. */
  readonly reason: EndReason
  /** The exit that ended it, with all that KVM tells about it; `null` after `stop()` and a time-out. */
  readonly exit: Exit | null
  /**
   * Index of the vCPU that ended the run; `null` after `stop()` and a time-out. An end of another vCPU that came at the same time is
   * the result of the next run.
   */
  readonly vcpu: number | null
  /** What the guest wrote to the `stop` route, 32 bits; only with reason `'exit-port'`. */
  declare readonly exitCode?: number
  /** What the guest wrote to console routes without `onData`, byte for byte, up to 16 MiB. */
  readonly output: Uint8Array
  /** Bytes beyond these 16 MiB, which were not kept. Use `onData` for guests that print more. */
  readonly outputDroppedBytes: number
  /** VM exits of this run: returns of `KVM_RUN` for a reason of the guest's. */
  readonly exits: number
  /** From the first entry into the guest to the last exit, in milliseconds. */
  readonly durationMs: number

  /** @internal */
  constructor(outcome: NativeOutcome) {
    this.reason = outcome.reason as EndReason
    this.exit = outcome.exit ? toExit(outcome.exit) : null
    this.vcpu = outcome.vcpu ?? null
    if (outcome.exitCode !== undefined) this.exitCode = outcome.exitCode
    this.output = outcome.output
    this.outputDroppedBytes = outcome.outputDroppedBytes
    this.exits = outcome.exits
    this.durationMs = outcome.durationMs
  }

  /** `output` as text, UTF-8; bytes that are none become U+FFFD. */
  get outputText(): string {
    return new TextDecoder().decode(this.output)
  }
}
