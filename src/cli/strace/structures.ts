import { constants } from 'node:os'

import * as flags from './flags.ts'
import { type Seen, SHOWN_BYTES, bytesAt, pointer, quoteBytes, quoteStart } from './seen.ts'

/** The most elements of an array that are shown. */
const SHOWN_ELEMENTS = 16
/** UIO_MAXIOV. */
const MOST_PARTS = 1024

const signals = new Map(
  // An older name for the same number comes after it.
  Object.entries(constants.signals)
    .toReversed()
    .map(([name, number]) => [number, name] as const),
)

/** What a signal is called; those for real time have numbers. */
export function signalName(number: number): string {
  if (number === 32) return 'SIGRTMIN'
  return signals.get(number) ?? (number > 32 ? `SIGRT_${number - 32}` : String(number))
}

/** Something that a call finds, or leaves, at an address. */
type Structure = (bytes: Buffer, seen: Seen) => string

/** At an address as many bytes as it has; the address where they are not there. */
const at =
  (length: number, show: Structure) =>
  (address: bigint, seen: Seen): string => {
    const bytes = address === 0n ? undefined : bytesAt(seen, address, length)
    return bytes ? show(bytes, seen) : pointer(address)
  }

/** struct timespec. */
export const timespec = at(
  16,
  (bytes) => `{tv_sec=${bytes.readBigInt64LE()}, tv_nsec=${bytes.readBigInt64LE(8)}}`,
)

/** struct timeval. */
export const timeval = at(
  16,
  (bytes) => `{tv_sec=${bytes.readBigInt64LE()}, tv_usec=${bytes.readBigInt64LE(8)}}`,
)

function modeText(mode: number): string {
  const kind = flags.fileKinds[mode & 0o170000]
  const rest = (mode & 0o7777).toString(8).padStart(4, '0')
  return kind ? `${kind}|${rest}` : `0${mode.toString(8)}`
}

/** struct stat of x86-64: what is most looked at. */
export const stat = at(
  144,
  (bytes) =>
    `{st_mode=${modeText(bytes.readUInt32LE(24))}, st_size=${bytes.readBigInt64LE(48)}, ...}`,
)

/** struct statx. */
export const statx = at(
  256,
  (bytes) =>
    `{stx_mode=${modeText(bytes.readUInt16LE(28))}, stx_size=${bytes.readBigUInt64LE(40)}, ...}`,
)

function limit(value: bigint): string {
  if (value === 2n ** 64n - 1n) return 'RLIM64_INFINITY'
  return value > 1024n && value % 1024n === 0n ? `${value / 1024n}*1024` : String(value)
}

/** struct rlimit64. */
export const rlimit = at(
  16,
  (bytes) =>
    `{rlim_cur=${limit(bytes.readBigUInt64LE())}, rlim_max=${limit(bytes.readBigUInt64LE(8))}}`,
)

/** Two descriptors. */
export const pair = at(8, (bytes) => `[${bytes.readInt32LE()}, ${bytes.readInt32LE(4)}]`)

/** A number of four bytes. */
export const word = at(4, (bytes) => `[${bytes.readInt32LE()}]`)

/** struct utsname: five texts of 65 bytes and another. */
export const utsname = at(390, (bytes) => {
  const text = (index: number): string => {
    const field = bytes.subarray(index * 65, index * 65 + 65)
    return quoteBytes(field.subarray(0, Math.max(0, field.indexOf(0))))
  }
  return `{sysname=${text(0)}, nodename=${text(1)}, ...}`
})

function signalsOf(set: bigint): string {
  const numbers = Array.from({ length: 64 }, (_, index) => index + 1)
  const has = (number: number): boolean => ((set >> BigInt(number - 1)) & 1n) === 1n
  // Of a set of most, those that are not in it.
  const isMost = numbers.filter(has).length > numbers.length / 2
  const names = numbers
    .filter((number) => has(number) !== isMost)
    .map((number) => signalName(number).replace(/^SIG/, ''))
  return `${isMost ? '~' : ''}[${names.join(' ')}]`
}

/** A set of signals. */
export const signalSet = at(8, (bytes) => signalsOf(bytes.readBigUInt64LE()))

/** struct sigaction as the kernel has it. */
export const sigaction = at(32, (bytes) => {
  const handler = bytes.readBigUInt64LE()
  const name = handler === 0n ? 'SIG_DFL' : handler === 1n ? 'SIG_IGN' : pointer(handler)
  const set = signalsOf(bytes.readBigUInt64LE(24))
  const shown = flags.nameBits(bytes.readBigUInt64LE(8), flags.actionFlags)
  const restorer = bytes.readBigUInt64LE(16)
  const last = restorer === 0n ? '' : `, sa_restorer=${pointer(restorer)}`
  return `{sa_handler=${name}, sa_mask=${set}, sa_flags=${shown}${last}}`
})

/** The first elements of an array, and whether there are more. */
function array(
  address: bigint,
  count: bigint,
  seen: Seen,
  { size, show }: { size: number; show: (bytes: Buffer) => string },
): string {
  const shown = Number(count > SHOWN_ELEMENTS ? SHOWN_ELEMENTS : count)
  const bytes = address === 0n ? undefined : bytesAt(seen, address, shown * size)
  if (!bytes) return pointer(address)
  const elements = Array.from({ length: shown }, (_, index) =>
    show(bytes.subarray(index * size, (index + 1) * size)),
  )
  return `[${[...elements, ...(count > SHOWN_ELEMENTS ? ['...'] : [])].join(', ')}]`
}

/** struct pollfd, so many of them: what is asked for, and afterwards what there is. */
export function pollEntries(address: bigint, count: bigint, seen: Seen): string {
  const isOver = seen.result !== undefined
  const show = (bytes: Buffer): string => {
    const events = flags.nameBits(BigInt(bytes.readUInt16LE(4)), flags.pollEvents)
    const found = flags.nameBits(BigInt(bytes.readUInt16LE(6)), flags.pollEvents)
    const after = isOver && found !== '0' ? `, revents=${found}` : ''
    return `{fd=${bytes.readInt32LE()}, events=${events}${after}}`
  }
  return array(address, count, seen, { size: 8, show })
}

/** struct iovec, so many of them; `bytes` of what is there count. */
export function vector(address: bigint, count: bigint, seen: Seen, bytes?: bigint): string {
  if (count > MOST_PARTS) return pointer(address)
  let left = bytes
  const show = (entry: Buffer): string => {
    const [base, length] = [entry.readBigUInt64LE(), entry.readBigUInt64LE(8)]
    const there = left === undefined || length < left ? length : left
    if (left !== undefined) left -= there
    const shown = bytesAt(seen, base, Math.min(Number(there), SHOWN_BYTES))
    const text = shown ? quoteStart(shown, Number(there)) : pointer(base)
    return `{iov_base=${text}, iov_len=${length}}`
  }
  return array(address, count, seen, { size: 16, show })
}
