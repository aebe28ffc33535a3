import { constants } from 'node:os'

import { MOST_TIMER_MS } from '../../engine/host-limits.ts'
import { tryMemory } from '../../engine/try-memory.ts'
import type { CallStop } from '../../engine/types.ts'
import { type Host, negative } from './context.ts'
import { numberOf } from './names.ts'
import { timespec } from './timespec.ts'

const { EFAULT, EINVAL } = constants.errno

/** `struct pollfd`: the descriptor, what is asked for, what is. */
const ENTRY_BYTES = 8
const MOST_ENTRIES = 1024
const POLLIN = 0x001 | 0x040
const POLLOUT = 0x004 | 0x100
const ppoll = BigInt(numberOf('ppoll'))

/** Milliseconds to wait; `undefined` for ever, a bigint for an errno. */
function patience(host: Host, { number, arguments: words }: CallStop): number | undefined | bigint {
  const [, , time = 0n] = words
  if (number !== ppoll) {
    const milliseconds = Number(BigInt.asIntN(32, time))
    return milliseconds < 0 ? undefined : milliseconds
  }
  if (time === 0n) return undefined
  return timespec(host.machine, time)
}

/** `poll` and `ppoll` with a standard stream among the descriptors, or for a time. */
export async function poll(host: Host, call: CallStop): Promise<bigint> {
  const { machine } = host
  const [at = 0n, count = 0n] = call.arguments
  if (count > MOST_ENTRIES) return negative(EINVAL)
  const wait = patience(host, call)
  if (typeof wait === 'bigint') return wait
  const entries = tryMemory(() => machine.read(at, Number(count) * ENTRY_BYTES))
  if (!entries) return negative(EFAULT)
  const found = await untilReady(host, wait, () => look(host, entries))
  if (typeof found === 'bigint') return found
  const written = tryMemory(() => machine.write(at, entries) ?? true)
  return written ? BigInt(found) : negative(EFAULT)
}

/** Waits so many milliseconds until `ready` counts some: how many, or an errno. */
export async function untilReady(
  { stdin, waits }: Host,
  wait: number | undefined,
  ready: () => number,
): Promise<number | bigint> {
  const end = wait === undefined ? undefined : performance.now() + wait
  let found = ready()
  while (found === 0) {
    const left = end === undefined ? undefined : end - performance.now()
    if (left !== undefined && left <= 0) break
    const woken = await waits.until((wake) => {
      const unlisten = stdin.isReady ? () => {} : stdin.onceReady(wake)
      const most = Math.min(Math.ceil(left ?? 0), MOST_TIMER_MS)
      const timer = left === undefined ? undefined : setTimeout(wake, most)
      return () => {
        unlisten()
        clearTimeout(timer)
      }
    })
    if (woken !== undefined) return woken
    found = ready()
  }
  return found
}

/** Fills in what is ready, and says how many are. */
function look({ machine, stdin }: Host, entries: Uint8Array): number {
  const view = new DataView(entries.buffer, entries.byteOffset, entries.byteLength)
  let ready = 0
  for (let at = 0; at < entries.length; at += ENTRY_BYTES) {
    const descriptor = view.getInt32(at, true)
    const asked = view.getUint16(at + 4, true)
    const stream = descriptor < 0 ? undefined : machine.stream(descriptor)
    const can = stream === undefined ? 0 : stream === 0 ? (stdin.isReady ? POLLIN : 0) : POLLOUT
    view.setUint16(at + 6, asked & can, true)
    if ((asked & can) !== 0) ready++
  }
  return ready
}
