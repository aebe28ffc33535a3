import {
  checkBoolean,
  checkFunction,
  checkInteger,
  checkKeys,
  checkMilliseconds,
  checkObject,
} from './check.ts'
import { invalid } from '../native/errors.ts'
import { native } from '../native/native.ts'
import type { NativeRunLimits } from '../native/seam.ts'
import type { AccessExit } from '../results/exit.ts'
import type { Registers } from '../results/registers.ts'
import { type GivenRegisters, checkRegisters } from './registers.ts'
import { isSignal } from './signal.ts'

/**
 * What `onExit` returns: the value of a read, for every item, or all its bytes, size times count;
 * `false` to end the run there. After a write nothing else matters.
 *
 * @category Exits
 */
export type ExitAnswer = number | bigint | Uint8Array | false | void

/**
 * What `onExit` may ask about the vCPU that waits for its answer.
 *
 * @category Exits
 */
export interface ExitContext {
  /**
   * The general registers of that vCPU, as KVM shows them at the exit: RIP may be that of the
   * instruction, or the one after it.
   *
   * @throws {VmError} `ERR_VM_BUSY` after the answer, which is when the promise of a handler that
   * returns one is settled, or the run ends.
   *
   * @example
   * ```ts
   * using vm = new VirtualMachine({ mode: 'long', payload: guests.hello })
   * vm.runSync({
   *   onExit(_exit, { registers }) {
   *     console.log(registers().rax) // 72n
   *     return false
   *   },
   * })
   * ```
   */
  readonly registers: () => Registers
}

/**
 * Options of `runSync`.
 *
 * @category Machine
 */
export interface RunSyncOptions extends NativeRunLimits {
  /**
   * Instructions that the run may execute, of all vCPUs together: then it ends with reason
   * `'instruction-limit'`. Each of them costs as much as an exit.
   *
   * @example
   * ```ts
   * using vm = new VirtualMachine({ mode: 'long', payload: guests.spin })
   * console.log(vm.runSync({ maxInstructions: 1000 }).reason) // instruction-limit
   * ```
   */
  maxInstructions?: number
  /**
   * General registers that vCPU 0 gets right before the run, as by `setRegisters`. While an
   * unclaimed read waits that is `ERR_UNANSWERED_READ`. With `result.registers` a run is the call
   * of a function of the guest's.
   *
   * @example
   * ```ts
   * const image = Uint8Array.of(0x48, 0x8d, 0x47, 0x07, 0xf4) // lea rax, [rdi + 7]; hlt
   * using vm = new VirtualMachine({ mode: 'long', payload: { image } })
   * console.log(vm.runSync({ registers: { rip: 0n, rdi: 5n } }).registers.rax) // 12n
   * ```
   */
  registers?: Partial<Registers>
  /**
   * Called for every port or MMIO exit that no route claims. Default: such an exit ends the run.
   *
   * @example
   * ```ts
   * using vm = new VirtualMachine({ mode: 'long', payload: guests.hello })
   * let text = ''
   * vm.runSync({
   *   onExit(exit) {
   *     if (exit.reason !== 'pio-out' || exit.port !== 0xe9) return false
   *     text += String.fromCharCode(...exit.data)
   *     return undefined
   *   },
   * })
   * console.log(text) // Hello, world!
   * ```
   */
  onExit?: (exit: AccessExit, asker: ExitContext) => ExitAnswer
}

/**
 * Options of `run`.
 *
 * @category Machine
 */
export interface RunOptions extends Omit<RunSyncOptions, 'onExit' | 'registers'> {
  /** As in `RunSyncOptions`. */
  registers?: Partial<Registers>
  /** As in `RunSyncOptions`; it may return a promise, for which the vCPU waits. */
  onExit?: (exit: AccessExit, asker: ExitContext) => ExitAnswer | PromiseLike<ExitAnswer>
  /** Aborting it ends the run and rejects with its reason; the machine stays usable. */
  signal?: AbortSignal
}

const { maxTimeoutMs } = native.limits()

/** The options of a run, checked. */
export interface CheckedRun {
  /** Negative for none. */
  readonly timeoutMs: number
  readonly timeKvmRun: boolean
  /** Negative for all. */
  readonly instructions: number
  /** The vCPU that alone runs, step by step; negative for none. */
  readonly stepped: number
  /** Asked after each step. */
  readonly until: ((registers: Registers) => unknown) | undefined
  readonly registers: GivenRegisters | undefined
  readonly onExit: RunOptions['onExit']
  readonly signal: AbortSignal | undefined
}

const syncKeys = ['timeoutMs', 'onExit', 'timeKvmRun', 'registers', 'maxInstructions']

/** All options of `run`. */
export const runKeys: readonly string[] = [...syncKeys, 'signal']

const nothing: CheckedRun = {
  timeoutMs: -1,
  timeKvmRun: false,
  instructions: -1,
  stepped: -1,
  until: undefined,
  registers: undefined,
  onExit: undefined,
  signal: undefined,
}

/** Checks the options of `runSync`. */
export function checkRunSyncOptions(value: unknown): CheckedRun {
  return value === undefined ? nothing : checkRun(value, syncKeys)
}

/** Checks the options of `run`. */
export function checkRunOptions(value: unknown): CheckedRun {
  return value === undefined ? nothing : checkRun(value, runKeys)
}

/** Reads each once. It is written out because a run may be as short as a function call. */
function checkRun(value: unknown, known: readonly string[]): CheckedRun {
  const given = checkObject('options', value)
  checkKeys('options', given, known)
  const { timeoutMs, onExit, timeKvmRun, registers, maxInstructions, signal } = given
  const timeout =
    timeoutMs === undefined ? -1 : checkMilliseconds('timeoutMs', timeoutMs, maxTimeoutMs)
  checkFunction('onExit', onExit)
  const isTimed = timeKvmRun === undefined ? false : checkBoolean('timeKvmRun', timeKvmRun)
  const hasSignal = known === runKeys && signal !== undefined
  if (hasSignal && !isSignal(signal)) return invalid('signal', 'an AbortSignal', signal)
  return {
    timeoutMs: timeout,
    timeKvmRun: isTimed,
    instructions:
      maxInstructions === undefined ? -1 : checkInstructions('maxInstructions', maxInstructions),
    stepped: -1,
    until: undefined,
    registers: registers === undefined ? undefined : checkRegisters('registers', registers),
    onExit: onExit as RunOptions['onExit'],
    signal: hasSignal ? (signal as AbortSignal) : undefined,
  }
}

/** A number of instructions. */
export function checkInstructions(name: string, value: unknown): number {
  return checkInteger(name, value, 1, Number.MAX_SAFE_INTEGER)
}
