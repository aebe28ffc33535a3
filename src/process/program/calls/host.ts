import { constants } from 'node:os'

import type { CallStop } from '../../engine/types.ts'
import { tryMemory } from '../../engine/try-memory.ts'
import type { ProcessMachine } from '../machine.ts'
import { type Host, negative } from './context.ts'
import { numberOf } from './names.ts'
import { poll } from './poll.ts'
import { select } from './select.ts'
import { timeOf, timespec } from './timespec.ts'
import { sleepUntil } from './waits.ts'

const { EACCES, EAGAIN, EBADF, EFAULT, EINVAL, EIO, ENOSYS, ESPIPE, EPIPE } = constants.errno

type Answer = bigint | Promise<bigint>
type Call = (host: Host, call: CallStop) => Answer

/** The most that one call moves, as a pipe takes no more at once either. */
const MOST_BYTES = 64 * 1024
/** UIO_MAXIOV. */
const MOST_PARTS = 1024
const IOVEC_BYTES = 16

const network = [
  'socket',
  'socketpair',
  'connect',
  'bind',
  'listen',
  'accept',
  'accept4',
  'getsockname',
  'getpeername',
  'getsockopt',
  'setsockopt',
  'shutdown',
  'sendto',
  'recvfrom',
  'sendmsg',
  'recvmsg',
  'sendmmsg',
  'recvmmsg',
]

const calls: Readonly<Record<string, Call>> = {
  read: (host, call) => read(host, call, onePart(call)),
  readv: (host, call) => read(host, call, partsOf(host.machine, call)),
  write: (host, call) => write(host, call, onePart(call)),
  writev: (host, call) => write(host, call, partsOf(host.machine, call)),
  pread64: noPosition,
  pwrite64: noPosition,
  preadv: noPosition,
  pwritev: noPosition,
  lseek: noPosition,
  poll,
  ppoll: poll,
  select,
  pselect6: select,
  nanosleep: (host, { arguments: [at = 0n, left = 0n] }) => nanosleep(host, at, left),
  clock_nanosleep: clockNanosleep,
  // What they wait for is a signal, and the kernel says which.
  pause: ({ waits }) => waits.forever(),
  rt_sigsuspend: ({ waits }) => waits.forever(),
  rt_sigtimedwait: signalWait,
  alarm: setTimer,
  setitimer: setTimer,
}

const answers = new Map<number, Call>([
  ...Object.entries(calls).map(([name, call]) => [numberOf(name), call] as const),
  ...network.map((name) => [numberOf(name), refused('EACCES')] as const),
])
const unknown = refused('ENOSYS')

/** Answers what needs more than the process' own kernel: RAX, at once or later. */
export function answer(host: Host, call: CallStop): Answer {
  return (answers.get(Number(call.number)) ?? unknown)(host, call)
}

function refused(errno: 'ENOSYS' | 'EACCES'): Call {
  return (host, { number }) => {
    host.refuse(Number(number), errno)
    return negative(errno === 'EACCES' ? EACCES : ENOSYS)
  }
}

/** Standard streams have none. */
function noPosition(host: Host, call: CallStop): Answer {
  return call.stream === undefined ? unknown(host, call) : negative(ESPIPE)
}

interface Part {
  readonly at: bigint
  readonly bytes: number
}

const smaller = (bytes: bigint): number => Number(bytes > MOST_BYTES ? MOST_BYTES : bytes)

function onePart({ arguments: [, at = 0n, bytes = 0n] }: CallStop): Part[] {
  return [{ at, bytes: smaller(bytes) }]
}

/** The buffers of `readv` and `writev`, or an errno. */
function partsOf(machine: ProcessMachine, { arguments: words }: CallStop): Part[] | bigint {
  const [, at = 0n, count = 0n] = words
  if (count > MOST_PARTS) return negative(EINVAL)
  const table = tryMemory(() => machine.read(at, Number(count) * IOVEC_BYTES))
  if (!table) return negative(EFAULT)
  const view = new DataView(table.buffer, table.byteOffset, table.byteLength)
  return Array.from({ length: Number(count) }, (_, index) => ({
    at: view.getBigUint64(index * IOVEC_BYTES, true),
    bytes: smaller(view.getBigUint64(index * IOVEC_BYTES + 8, true)),
  }))
}

async function read(host: Host, { stream }: CallStop, parts: Part[] | bigint): Promise<bigint> {
  const { machine, stdin, waits } = host
  if (typeof parts === 'bigint') return parts
  if (stream !== 0) return negative(EBADF)
  const part = parts.find(({ bytes }) => bytes > 0)
  if (!part) return 0n
  if (!stdin.isReady) {
    const woken = await waits.until((wake) => stdin.onceReady(wake))
    if (woken !== undefined) return woken
  }
  if (stdin.hasFailed) return negative(EIO)
  const bytes = stdin.peek(part.bytes)
  // Of a buffer that ends early only the first byte is sure to be there.
  const put = [bytes, bytes.subarray(0, 1)].find((piece) =>
    tryMemory(() => machine.write(part.at, piece) ?? true),
  )
  if (!put) return negative(EFAULT)
  // What could be put nowhere stays.
  stdin.take(put.length)
  return BigInt(put.length)
}

async function write(host: Host, { stream }: CallStop, parts: Part[] | bigint): Promise<bigint> {
  const { machine, waits } = host
  if (typeof parts === 'bigint') return parts
  const output = stream === 1 ? host.stdout : stream === 2 ? host.stderr : undefined
  if (!output) return negative(EBADF)
  const pieces: Uint8Array[] = []
  let left = MOST_BYTES
  for (const { at, bytes } of parts) {
    const most = Math.min(bytes, left)
    const piece = tryMemory(() => machine.read(at, most))
    if (!piece && pieces.length === 0) return negative(EFAULT)
    if (!piece) break
    pieces.push(piece)
    left -= most
    if (most < bytes) break
  }
  if (output.isFull && !output.isGone) {
    const woken = await waits.until((wake) => output.onceRoom(wake))
    if (woken !== undefined) return woken
  }
  if (output.isGone) {
    machine.signal(constants.signals.SIGPIPE)
    return negative(EPIPE)
  }
  for (const piece of pieces) if (piece.length > 0) output.put(piece)
  return BigInt(MOST_BYTES - left)
}

/** The kernel's to answer; it has asked so that the timer is watched. */
function setTimer(host: Host, call: CallStop): Answer {
  const rax = host.machine.goOn()
  if (typeof rax === 'bigint') return rax
  return rax.kind === 'call' ? unknown(host, call) : 0n
}

async function signalWait(
  { machine, waits }: Host,
  { arguments: words }: CallStop,
): Promise<bigint> {
  const [, , at = 0n] = words
  if (at === 0n) return waits.forever()
  const time = timespec(machine, at)
  if (typeof time === 'bigint') return time
  const woken = await sleepUntil(waits, performance.now() + time)
  return woken === 0n ? negative(EAGAIN) : woken
}

function nanosleep(host: Host, at: bigint, left: bigint): Answer {
  const pause = timespec(host.machine, at)
  return typeof pause === 'bigint' ? pause : sleep(host, pause, left)
}

/** Sleeps so many milliseconds. What interrupts it has what is left stored, for the next try. */
async function sleep({ machine, waits }: Host, pause: number, at: bigint): Promise<bigint> {
  const end = performance.now() + pause
  const woken = await sleepUntil(waits, end)
  if (woken === 0n || at === 0n) return woken
  const left = timeOf(Math.max(end - performance.now(), 0))
  return tryMemory(() => machine.write(at, left) ?? true) ? woken : negative(EFAULT)
}

const CLOCK_REALTIME = 0n
const TIMER_ABSTIME = 1n

function clockNanosleep(host: Host, { arguments: words }: CallStop): Answer {
  const [clock = 0n, flags = 0n, at = 0n, left = 0n] = words
  const time = timespec(host.machine, at)
  if (typeof time === 'bigint') return time
  const isAbsolute = (flags & TIMER_ABSTIME) !== 0n
  const now = clock === CLOCK_REALTIME ? Date.now() : Number(process.hrtime.bigint() / 1000n) / 1000
  return isAbsolute ? sleep(host, time - now, 0n) : sleep(host, time, left)
}
