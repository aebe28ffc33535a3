import { constants } from 'node:os'

import type { Autopsy } from '../../results/autopsy.ts'
import { invalid } from '../../native/errors.ts'
import type { Fault } from '../../results/fault.ts'

/**
 * How a process has ended.
 *
 * @category Process
 */
export interface ProcessResult {
  /** What it gave `exit`, 0 to 255; `null` if a signal has ended it. */
  readonly exitCode: number | null
  /** The signal that has ended it, such as `'SIGSEGV'`; `'SIGKILL'` after a time-out. */
  readonly signal: string | null
  /**
   * `'exit'`: it called `exit`. `'fault'`: the processor refused an instruction. `'timeout'`:
   * `timeoutMs` was over. `'killed'`: by `kill()`, or by a signal that it sent itself.
   */
  readonly reason: 'exit' | 'fault' | 'timeout' | 'killed'
  /** From its start to its end. */
  readonly durationMs: number
  /** How often it made each system call, by name; numbers above 511 are counted together. */
  readonly syscalls: Readonly<Record<string, number>>
  /** How often it got `ENOSYS`, as nothing answers the call, or `EACCES`, for a network. */
  readonly refused: Readonly<Record<string, number>>
  /** What the processor refused; only with reason `'fault'`. */
  readonly fault?: Fault
  /** Why, as `result.explain()` of a machine's run; only with reason `'fault'`. */
  readonly autopsy?: Autopsy
}

/** What becomes of a process that a signal ends. */
export type Ending = Pick<ProcessResult, 'exitCode' | 'signal' | 'reason' | 'fault' | 'autopsy'>

/** What a signal is called; those without a name are real-time signals. */
export function nameOfSignal(number: number): string {
  const [name] = Object.entries(constants.signals).find(([, each]) => each === number) ?? []
  return name ?? `SIGRTMIN+${number - 34}`
}

/** The number of a signal. `ERR_INVALID_OPTION` for what is none. */
export function numberOfSignal(name: unknown): number {
  const number =
    typeof name === 'string' ? (constants.signals as Record<string, number>)[name] : name
  if (typeof number === 'number' && Number.isInteger(number) && number >= 1 && number <= 64)
    return number
  return invalid('signal', 'the name of a signal, or 1 to 64', name)
}

/** The signal that Linux sends for an exception (arch/x86/kernel/traps.c). */
export function signalOf(vector: number): string {
  const signals: Readonly<Record<number, string>> = {
    0: 'SIGFPE',
    1: 'SIGTRAP',
    3: 'SIGTRAP',
    6: 'SIGILL',
    11: 'SIGBUS',
    12: 'SIGBUS',
    16: 'SIGFPE',
    17: 'SIGBUS',
    19: 'SIGFPE',
  }
  return signals[vector] ?? 'SIGSEGV'
}
