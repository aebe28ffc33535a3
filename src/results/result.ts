import { inspect, type InspectOptions } from 'node:util'

import type { Autopsy, ExplainOptions } from './autopsy.ts'
import { describeEnding, describeExitRecord } from './describe.ts'
import { type Exit, exitOfWords, toExit } from './exit.ts'
import { type Fault, toFault } from './fault.ts'
import { type RunHit, toHit } from './hit.ts'
import { KeptRegisters } from './kept-registers.ts'
import { ending, numbers } from '../native/block.ts'
import type { NativeMachine, NativeRest } from '../native/seam.ts'
import { type EndReason, endings } from '../native/words.ts'
import type { Registers } from './registers.ts'
import { type SpecialRegisters, specialOfWords } from './special-registers.ts'
import { type Where, toWhere } from './where.ts'

/** The runs of a machine, of which the last one can be explained. */
export interface Explains {
  /** How many there were. */
  readonly runs: number
  explain(result: RunResult, run: number, options: ExplainOptions | undefined): Autopsy
}

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
 *
 * @category Results
 */
export class RunResult {
  /** Why the run ended; the same as `exit.reason` if an exit ended it. */
  readonly reason: EndReason
  /**
   * The exit that ended it, with everything that KVM reports about it; `null` after `stop()`,
   * `reset()`, a time-out, a fault and a stop.
   */
  readonly exit: Exit | null
  /**
   * Index of the vCPU that ended the run; `null` after `stop()`, `reset()` and a time-out. If
   * another vCPU came to an end at the same time, that end is the result of the next run.
   */
  readonly vcpu: number | null
  /** The fault that ended it; only with reason `'fault'`. */
  declare readonly fault?: Fault
  /**
   * The stop that ended it; only with reasons `'breakpoint'`, `'watchpoint'`, `'step'` and
   * `'instruction-limit'`.
   */
  declare readonly hit?: RunHit
  /**
   * Where the guest was: after a time-out, a fault, a shutdown, an internal error and a failed
   * entry. `null` after any other end, and if KVM does not report it: on AMD processors a shutdown
   * resets the vCPU.
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

  readonly #registers: KeptRegisters
  readonly #special: SpecialRegisters | null
  readonly #explains: Explains
  readonly #run: number
  readonly #stop: number | undefined

  /** Of the shared words, and of the rest that they do not hold. @internal */
  constructor(rest: NativeRest | undefined, machine: NativeMachine, explains: Explains) {
    const [how, why, vcpu, exitCode] = [ending[0]!, ending[1]!, ending[2]!, ending[3]!]
    this.exit = why === 0 ? null : rest?.exit ? toExit(rest.exit) : exitOfWords(rest)
    this.reason = how === 0 ? this.exit!.reason : endings[how - 1]!
    this.vcpu = vcpu === 0 ? null : vcpu - 1
    this.where = toWhere(rest?.whereabouts)
    this.#special = this.where && specialOfWords()
    if (rest?.fault) this.fault = toFault(rest.fault)
    if (rest?.hit) this.hit = toHit(rest.hit)
    this.#stop = rest?.hit?.stop
    if (this.reason === 'exit-port') this.exitCode = exitCode
    this.output = rest?.output ?? new Uint8Array(0)
    this.outputDroppedBytes = rest?.outputDroppedBytes ?? 0
    this.exits = numbers[1]!
    this.durationMs = numbers[2]!
    this.#registers = new KeptRegisters(machine, this.vcpu ?? 0)
    this.#explains = explains
    this.#run = explains.runs
  }

  /**
   * The general registers of the vCPU that ended the run, vCPU 0 where none did, as they were then.
   * An access that was answered is completed before. Of one that no route claims RIP is what KVM
   * shows: that of the instruction, or the one after it.
   *
   * @throws {VmError} `ERR_KVM_IOCTL` if KVM cannot complete it.
   *
   * @example
   * ```ts
   * const image = Uint8Array.of(0xb0, 42, 0xf4) // mov al, 42; hlt
   * using vm = new VirtualMachine({ mode: 'long', payload: { image } })
   * const result = vm.runSync()
   * vm.setRegisters({ rax: 0n })
   * console.log(result.registers.rax) // 42n
   * ```
   */
  get registers(): Readonly<Registers> {
    return this.#registers.values
  }

  /** The id of the stop that ended it. @internal */
  get stop(): number | undefined {
    return this.#stop
  }

  /**
   * The special registers of that vCPU where `where` says where it was, else `null`. @internal
   */
  get special(): SpecialRegisters | null {
    return this.#special
  }

  /**
   * Why the run ended so: what is wrong in registers, tables and memory. Registers are those of the
   * end, memory is as it is at the call. A guest that ended well has no findings.
   *
   * @throws {VmError} `ERR_VM_CLOSED` after `close()`, `ERR_VM_BUSY` during a run,
   * `ERR_INVALID_OPTION` after a further one.
   *
   * @example
   * ```ts
   * using vm = new VirtualMachine({ mode: 'long', payload: guests.tripleFault })
   * console.log(vm.runSync().explain().findings.length > 0) // true
   * ```
   */
  explain(options?: ExplainOptions): Autopsy {
    return this.#explains.explain(this, this.#run, options)
  }

  /** `output` as text, UTF-8; invalid bytes become U+FFFD. */
  get outputText(): string {
    return new TextDecoder().decode(this.output)
  }

  /**
   * How the run ended, in one sentence; `console.log(result)` begins with it.
   *
   * @example
   * ```ts
   * using vm = new VirtualMachine({ mode: 'long', payload: guests.spin })
   * console.log(String(vm.runSync({ timeoutMs: 5 }))) // the time is up; vCPU 0 is at RIP 0x0 …
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
 * What happened, in one sentence: an exit, as `onExit` gets it, or the end of a run with the place
 * where the guest was.
 *
 * @example
 * ```ts
 * import { VirtualMachine, describeExit, guests } from 'vmexit'
 *
 * using vm = new VirtualMachine({ mode: 'long', payload: guests.hello })
 * const result = vm.runSync()
 * console.log(describeExit(result.exit!)) // the guest wrote 1 byte (0x48) to port 0xe9
 * console.log(describeExit(result)) // the guest wrote … to port 0xe9, which no route claims
 * ```
 *
 * @category Exits
 */
export function describeExit(what: RunResult | Exit): string {
  return what instanceof RunResult ? what.toString() : describeExitRecord(what)
}
