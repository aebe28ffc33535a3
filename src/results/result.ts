import { inspect, type InspectOptions } from 'node:util'

import { describeEnding, describeExitRecord } from './describe.ts'
import { type Exit, toExit } from './exit.ts'
import type { NativeOutcome } from '../native/seam.ts'
import type { EndReason } from '../native/words.ts'
import { type Where, toWhere } from './where.ts'

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
  /**
   * Where the guest was: after a time-out, a shutdown, an internal error and a failed entry. `null` after any other end, and where
   * KVM does not tell: on AMD processors a shutdown resets the vCPU.
   */
  readonly where: Where | null
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
    this.reason = outcome.reason ?? outcome.exit!.reason
    this.exit = outcome.exit ? toExit(outcome.exit) : null
    this.vcpu = outcome.vcpu ?? null
    this.where = toWhere(outcome.whereabouts)
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

  /**
   * How the run ended, in one sentence; `console.log(result)` begins with it.
   *
   * @example
   * ```ts
   * using vm = new VirtualMachine({ mode: 'long', payload: guests.spin })
   * console.log(String(vm.runSync({ timeoutMs: 5 }))) // the time is up; vCPU 0 is at RIP 0x0 (long mode, …
   * ```
   */
  toString(): string {
    return describeEnding(this)
  }

  /** @internal */
  [inspect.custom](depth: number, options: InspectOptions, show: typeof inspect): string {
    const name = `RunResult (${this.toString()})`
    return depth < 0 ? name : `${name} ${show({ ...this }, options)}`
  }
}

/**
 * What happened, in one sentence: an exit, as `onExit` gets it, or the end of a run with the place where the guest was.
 *
 * @example
 * ```ts
 * import { VirtualMachine, describeExit, guests } from 'vmexit'
 *
 * using vm = new VirtualMachine({ mode: 'long', payload: guests.hello })
 * const result = vm.runSync()
 * console.log(describeExit(result.exit!)) // the guest wrote 1 byte (0x48) to port 0xe9
 * console.log(describeExit(result)) // the guest wrote 1 byte (0x48) to port 0xe9, which no route claims
 * ```
 */
export function describeExit(what: RunResult | Exit): string {
  return what instanceof RunResult ? what.toString() : describeExitRecord(what)
}
