import * as flags from './flags.ts'
import {
  type Seen,
  SHOWN_BYTES,
  bytesAt,
  int,
  pointer,
  quoteStart,
  quoteText,
  stringAt,
  unsigned,
} from './seen.ts'
import * as structures from './structures.ts'

/**
 * How an argument is shown; `index` is its place. Nothing is shown of one that the call does not
 * look at.
 */
type Show = (value: bigint, seen: Seen, index: number) => string | undefined

/** One kind of argument. */
export interface Kind {
  readonly show: Show
  /** The call leaves it there: it is shown once the call is over, and only if it went well. */
  readonly isResult?: boolean
}

const plain = (show: Show): Kind => ({ show })
const left = (show: Show): Kind => ({ show, isResult: true })
const bits = (known: flags.Bits, none?: string): Kind =>
  plain((value) => flags.nameBits(BigInt.asUintN(32, value), known, none))
const choice = (known: flags.Choices): Kind => plain((value) => flags.nameChoice(int(value), known))

/** A choice in the lowest bits, and more bits. */
function mixed(value: bigint, lowest: number, known: flags.Choices, more: flags.Bits): string {
  const number = unsigned(value)
  const first = flags.nameChoice(number & lowest, known)
  const rest = flags.nameBits(BigInt((number & ~lowest) >>> 0), more, '')
  return rest === '' ? first : `${first}|${rest}`
}

const octal = (value: bigint): string => `0${unsigned(value).toString(8).padStart(2, '0')}`

/** Bytes of a buffer, `length` of them. */
function buffer(address: bigint, seen: Seen, length: bigint): string {
  const shown = Number(length > SHOWN_BYTES ? SHOWN_BYTES : length)
  const bytes = address === 0n ? undefined : bytesAt(seen, address, shown)
  return bytes ? quoteStart(bytes, Number(length)) : pointer(address)
}

function text(address: bigint, seen: Seen): string {
  const found = address === 0n ? undefined : stringAt(seen, address)
  return found === undefined ? pointer(address) : quoteText(found)
}

/** The third argument of `fcntl`, by its command. */
function fcntlArgument(value: bigint, { args }: Seen): string | undefined {
  const command = flags.fcntlCommands[int(args[1] ?? 0n)] ?? ''
  if (/^F_GET(FD|FL|OWN|SIG|LEASE|PIPE_SZ|_SEALS)/.test(command)) return undefined
  if (command === 'F_SETFL') return mixed(value, 3, flags.accessModes, flags.openFlags)
  if (command === 'F_SETFD') return value === 1n ? 'FD_CLOEXEC' : String(int(value))
  return /LK/.test(command) ? pointer(value) : String(int(value))
}

function futexCommand(value: bigint): string {
  const number = unsigned(value)
  const named = flags.nameChoice(number & 0x7f, flags.futexCommands)
  const scope = number & flags.FUTEX_PRIVATE ? '_PRIVATE' : ''
  return named + scope + (number & flags.FUTEX_CLOCK_REALTIME ? '|FUTEX_CLOCK_REALTIME' : '')
}

/** Only a call that makes a file has a mode. */
function createMode(value: bigint, { args }: Seen, index: number): string | undefined {
  const asked = unsigned(args[index - 1] ?? 0n)
  return asked & (flags.O_CREAT | flags.O_TMPFILE) ? octal(value) : undefined
}

/** The arguments after an option of `prctl`, which most of them do not look at. */
function prctlArgument(value: bigint, seen: Seen, index: number): string | undefined {
  const option = flags.prctlOptions[int(seen.args[0] ?? 0n)] ?? ''
  if (!option.endsWith('_NAME')) return pointer(value)
  if (index > 1) return undefined
  return option === 'PR_SET_NAME' ? text(value, seen) : pointer(value)
}

const vector: Show = (value, seen, index) =>
  structures.vector(value, seen.args[index + 1] ?? 0n, seen)
const filledVector: Show = (value, seen, index) =>
  structures.vector(value, seen.args[index + 1] ?? 0n, seen, seen.result)

/** By the words of the table of calls. */
export const kinds: Readonly<Record<string, Kind>> = {
  fd: plain((value) => String(int(value))),
  at: plain((value) => (int(value) === -100 ? 'AT_FDCWD' : String(int(value)))),
  int: plain((value) => String(int(value))),
  uint: plain((value) => String(unsigned(value))),
  long: plain((value) => String(BigInt.asIntN(64, value))),
  size: plain(String),
  hex: plain((value) => (value === 0n ? '0' : `0x${value.toString(16)}`)),
  ptr: plain(pointer),
  octal: plain(octal),
  path: plain(text),
  bytes: plain((value, seen, index) => buffer(value, seen, seen.args[index + 1] ?? 0n)),
  text: left(text),
  filled: left((value, seen) => buffer(value, seen, seen.result ?? 0n)),
  vector: plain(vector),
  filledVector: left(filledVector),
  entries: left((value, { result = 0n }) => `${pointer(value)} /* ${result} bytes */`),
  timespec: plain(structures.timespec),
  timespecOut: left(structures.timespec),
  timevalOut: left(structures.timeval),
  stat: left(structures.stat),
  statx: left(structures.statx),
  rlimit: plain(structures.rlimit),
  rlimitOut: left(structures.rlimit),
  pair: left(structures.pair),
  wordOut: left(structures.word),
  utsname: left(structures.utsname),
  set: plain(structures.signalSet),
  setOut: left(structures.signalSet),
  action: plain(structures.sigaction),
  actionOut: left(structures.sigaction),
  polls: left((value, seen, index) =>
    structures.pollEntries(value, seen.args[index + 1] ?? 0n, seen),
  ),
  signal: plain((value) => structures.signalName(int(value))),
  open: plain((value) => mixed(value, 3, flags.accessModes, flags.openFlags)),
  createMode: plain(createMode),
  openBits: bits(flags.openFlags),
  fcntl: choice(flags.fcntlCommands),
  fcntlArgument: plain(fcntlArgument),
  atFlags: bits(flags.atFlags),
  unlinkFlags: bits(flags.unlinkFlags),
  accessFlags: bits(flags.accessFlags),
  access: bits(flags.accessKinds, 'F_OK'),
  renameFlags: bits(flags.renameFlags),
  whence: choice(flags.whence),
  statxMask: bits(flags.statxMask),
  prot: bits(flags.protection, 'PROT_NONE'),
  map: plain((value) => mixed(value, 3, flags.mapKinds, flags.mapFlags)),
  remap: bits(flags.remapFlags),
  msync: bits(flags.syncFlags),
  advice: choice(flags.advice),
  memfd: bits(flags.memfdFlags),
  random: bits(flags.randomFlags),
  arch: choice(flags.archCodes),
  prctl: choice(flags.prctlOptions),
  prctlArgument: plain(prctlArgument),
  ioctl: plain((value) => flags.nameChoice(unsigned(value), flags.ioctls)),
  futex: plain(futexCommand),
  clock: choice(flags.clocks),
  timerFlags: bits(flags.timerFlags),
  timer: choice(flags.timers),
  resource: choice(flags.resources),
  usage: choice(flags.usages),
  how: choice(flags.maskings),
  epoll: choice(flags.epollCommands),
  lock: bits(flags.locks),
  allocate: bits(flags.allocations),
  family: choice(flags.families),
  socket: plain((value) => mixed(value, 0xf, flags.socketTypes, flags.socketFlags)),
  clone: plain((value) => {
    const signal = unsigned(value) & 0xff
    const named = flags.nameBits(BigInt.asUintN(64, value) & ~0xffn, flags.cloneFlags)
    return signal === 0 ? named : `${named}|${structures.signalName(signal)}`
  }),
}
