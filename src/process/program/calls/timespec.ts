import { constants } from 'node:os'

import { tryMemory } from '../../engine/try-memory.ts'
import type { ProcessMachine } from '../machine.ts'
import { negative } from './context.ts'

const { EFAULT, EINVAL } = constants.errno

/** The `struct timespec` at an address as milliseconds; an errno if it is none. */
export function timespec(machine: ProcessMachine, at: bigint): number | bigint {
  const bytes = tryMemory(() => machine.read(at, 16))
  if (!bytes) return negative(EFAULT)
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const [seconds, nanoseconds] = [view.getBigInt64(0, true), view.getBigInt64(8, true)]
  if (seconds < 0n || nanoseconds < 0n || nanoseconds >= 1_000_000_000n) return negative(EINVAL)
  return Number(seconds) * 1000 + Number(nanoseconds) / 1e6
}

/** Milliseconds as a `struct timespec`, or as another structure of seconds and parts of one. */
export function timeOf(milliseconds: number, perSecond = 1e9): Uint8Array {
  const time = new Uint8Array(16)
  const view = new DataView(time.buffer)
  const seconds = milliseconds / 1000
  view.setBigInt64(0, BigInt(Math.floor(seconds)), true)
  view.setBigInt64(8, BigInt(Math.floor((seconds % 1) * perSecond)), true)
  return time
}
