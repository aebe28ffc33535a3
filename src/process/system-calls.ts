import { constants } from 'node:os'

import { VmError, raise, showThrown } from '../native/errors.ts'
import { tryMemory } from './engine/try-memory.ts'
import type { CallStop, Engine } from './engine/types.ts'
import { GuestFault } from './faults.ts'
import type { Guest } from './values/marshal.ts'

/** Numbers of system calls (Linux, arch/x86/entry/syscalls/syscall_64.tbl). */
export const PAUSE = 34n
const READ = 0n
const WRITE = 1n
const WRITEV = 20n
const NANOSLEEP = 35n
const CLOCK_NANOSLEEP = 230n
const KILL = 62n
const TKILL = 200n
const TGKILL = 234n
const SOCKET = 41n
const SOCKETPAIR = 53n

const { EACCES, EBADF, EFAULT, EINTR, EINVAL, ENOSYS } = constants.errno

/** The most that one call writes, as a pipe takes no more at once either. */
const MAX_WRITE_BYTES = 64 * 1024
/** UIO_MAXIOV. */
const MAX_PARTS = 1024
const IOVEC_BYTES = 16

/** Signals that end nothing by default (signal(7)). */
const HARMLESS = new Set(['SIGCHLD', 'SIGCONT', 'SIGURG', 'SIGWINCH'])

/**
 * What a library prints to its standard output (1) and error (2).
 *
 * @category Process
 */
export type OutputHandler = (fd: 1 | 2, bytes: Uint8Array) => void

const error = (errno: number): bigint => BigInt.asUintN(64, BigInt(-errno))

/** Answers what a library asks of the kernel and what needs its host: RAX. */
export function answerSystemCall(
  engine: Engine,
  guest: Guest,
  { number, arguments: args }: CallStop,
  onOutput: OutputHandler | undefined,
): bigint {
  const [first = 0n, second = 0n, third = 0n] = args
  switch (number) {
    case WRITE:
      return write(engine, first, [{ at: second, bytes: third }], onOutput)
    case WRITEV:
      return writeParts(engine, first, second, third, onOutput)
    case READ:
      return fd(first) === 0n ? 0n : error(EBADF)
    case NANOSLEEP:
    case CLOCK_NANOSLEEP:
      return 0n
    case PAUSE:
      return error(EINTR)
    case KILL:
    case TKILL:
      return signal(guest, second)
    case TGKILL:
      return signal(guest, third)
    case SOCKET:
    case SOCKETPAIR:
      return error(EACCES)
    default:
      return error(ENOSYS)
  }
}

/** What the kernel looks at of a descriptor. */
const fd = (word: bigint): bigint => BigInt.asIntN(32, word)

interface Piece {
  readonly at: bigint
  readonly bytes: bigint
}

function write(
  engine: Engine,
  word: bigint,
  pieces: readonly Piece[],
  onOutput: OutputHandler | undefined,
): bigint {
  const to = fd(word)
  if (to !== 1n && to !== 2n) return error(EBADF)
  let written = 0
  for (const { at, bytes } of pieces) {
    const length = Number(bytes > MAX_WRITE_BYTES ? MAX_WRITE_BYTES : bytes)
    const fits = Math.min(length, MAX_WRITE_BYTES - written)
    if (fits === 0) continue
    const data = read(engine, at, fits)
    if (!data) return written > 0 ? BigInt(written) : error(EFAULT)
    tell(onOutput, to === 1n ? 1 : 2, data)
    written += fits
  }
  return BigInt(written)
}

function writeParts(
  engine: Engine,
  word: bigint,
  at: bigint,
  count: bigint,
  onOutput: OutputHandler | undefined,
): bigint {
  if (count > MAX_PARTS) return error(EINVAL)
  const table = count === 0n ? new Uint8Array() : read(engine, at, Number(count) * IOVEC_BYTES)
  if (!table) return error(EFAULT)
  const view = new DataView(table.buffer, table.byteOffset, table.byteLength)
  const pieces = Array.from({ length: Number(count) }, (_, index) => ({
    at: view.getBigUint64(index * IOVEC_BYTES, true),
    bytes: view.getBigUint64(index * IOVEC_BYTES + 8, true),
  }))
  return write(engine, word, pieces, onOutput)
}

function tell(onOutput: OutputHandler | undefined, to: 1 | 2, bytes: Uint8Array): void {
  try {
    onOutput?.(to, bytes)
  } catch (cause) {
    const message = `onOutput failed: ${showThrown(cause)}`
    raise(new VmError('ERR_HANDLER', message, { cause }))
  }
}

function read(engine: Engine, at: bigint, length: number): Uint8Array | undefined {
  return tryMemory(() => engine.read(at, length))
}

/** The library has one thread, so that it can mean only itself. No handler of its is called. */
function signal(guest: Guest, word: bigint): bigint {
  const number = Number(fd(word))
  if (number === 0) return 0n
  const [name] = Object.entries(constants.signals).find(([, each]) => each === number) ?? []
  if (number < 0 || number > 64) return error(EINVAL)
  const known = name ?? `signal ${number}`
  if (HARMLESS.has(known)) return 0n
  const message = `the guest sent itself ${known}`
  return raise(new GuestFault({ message, name: known, registers: guest.registers() }))
}
