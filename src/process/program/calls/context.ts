import type { Input } from '../input.ts'
import type { ProcessMachine } from '../machine.ts'
import type { Output } from '../output.ts'
import type { Waits } from './waits.ts'

/** A negative errno, as RAX has it. */
export const negative = (errno: number): bigint => BigInt.asUintN(64, BigInt(-errno))

/** What answers a process beside its kernel. */
export interface Host {
  readonly machine: ProcessMachine
  readonly stdin: Input
  readonly stdout: Output
  readonly stderr: Output
  readonly waits: Waits
  /** What is not answered. */
  refuse(number: number, errno: 'ENOSYS' | 'EACCES'): void
}
