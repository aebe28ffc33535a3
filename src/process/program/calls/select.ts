import { constants } from 'node:os'

import { tryMemory } from '../../engine/try-memory.ts'
import type { CallStop } from '../../engine/types.ts'
import type { ProcessMachine } from '../machine.ts'
import { type Host, negative } from './context.ts'
import { numberOf } from './names.ts'
import { untilReady } from './poll.ts'
import { timeOf } from './timespec.ts'

const { EFAULT } = constants.errno

const MOST_DESCRIPTORS = 1024
/** Bits of a set come in words. */
const WORD_BITS = 64
const TIME_BYTES = 16
const pselect6 = BigInt(numberOf('pselect6'))

/**
 * `select` and `pselect6` with standard input in a set, or for a time. The process' own kernel has
 * checked the arguments, and nothing else that it looks at changes while the process waits.
 */
export async function select(host: Host, { number, arguments: words }: CallStop): Promise<bigint> {
  const { machine, stdin } = host
  const [count = 0n, read = 0n, write = 0n, exceptional = 0n, time = 0n] = words
  const descriptors = Math.min(Number(BigInt.asIntN(32, count)), MOST_DESCRIPTORS)
  const none = new Uint8Array(Math.ceil(descriptors / WORD_BITS) * 8)
  const given = tryMemory(() => ({
    asked: read === 0n ? none : machine.read(read, none.length),
    time: time === 0n ? undefined : machine.read(time, TIME_BYTES),
  }))
  if (!given) return negative(EFAULT)
  const inputs = inputsOf(machine, given.asked, descriptors)
  const perSecond = number === pselect6 ? 1e9 : 1e6
  const wait = given.time && milliseconds(given.time, perSecond)
  const begun = performance.now()
  const found = await untilReady(host, wait, () => (stdin.isReady ? inputs.count : 0))
  if (wait !== undefined) {
    const left = timeOf(Math.max(wait - (performance.now() - begun), 0), perSecond)
    // What cannot be written there is no error to Linux either.
    tryMemory(() => machine.write(time, left) ?? true)
  }
  if (typeof found === 'bigint') return found
  const shown = new Map([
    [read, found === 0 ? none : inputs.set],
    [write, none],
    [exceptional, none],
  ])
  shown.delete(0n)
  const written = tryMemory(() => shown.forEach((set, at) => machine.write(at, set)) ?? true)
  return written ? BigInt(found) : negative(EFAULT)
}

/** Those of a set that are standard input. */
function inputsOf(machine: ProcessMachine, asked: Uint8Array, descriptors: number) {
  const set = new Uint8Array(asked.length)
  let count = 0
  for (let descriptor = 0; descriptor < descriptors; descriptor++) {
    const [at, bit] = [descriptor >> 3, 1 << (descriptor & 7)]
    if ((asked[at]! & bit) === 0 || machine.stream(descriptor) !== 0) continue
    set[at]! |= bit
    count++
  }
  return { set, count }
}

const viewOf = ({ buffer, byteOffset, byteLength }: Uint8Array): DataView =>
  new DataView(buffer, byteOffset, byteLength)

function milliseconds(time: Uint8Array, perSecond: number): number {
  const view = viewOf(time)
  return (
    Number(view.getBigInt64(0, true)) * 1000 +
    (Number(view.getBigInt64(8, true)) * 1000) / perSecond
  )
}
