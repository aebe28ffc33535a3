/**
 * Names of flags and of numbered choices, from Linux's headers for x86-64 (include/uapi/linux and
 * arch/x86/include/uapi/asm).
 */

/** Bits and their names; one of several bits stands before those that are in it. */
export type Bits = readonly (readonly [bit: number, name: string])[]

/** Names by number. */
export type Choices = Readonly<Record<number, string>>

/** Bits one after another, from `first` on; an empty name is a bit that has none. */
function bits(first: number, names: string): Bits {
  return names
    .split(' ')
    .map((name, index) => [first * 2 ** index, name] as const)
    .filter(([, name]) => name !== '-')
}

/** Numbers one after another, from 0 on. */
function choices(prefix: string, names: string): Choices {
  return Object.fromEntries(names.split(' ').map((name, index) => [index, prefix + name]))
}

/** fcntl.h. The two lowest bits are {@link accessModes}. */
export const openFlags: Bits = [
  [0o20200000, 'O_TMPFILE'],
  [0o4010000, 'O_SYNC'],
  [0o100, 'O_CREAT'],
  [0o200, 'O_EXCL'],
  [0o400, 'O_NOCTTY'],
  [0o1000, 'O_TRUNC'],
  [0o2000, 'O_APPEND'],
  [0o4000, 'O_NONBLOCK'],
  [0o10000, 'O_DSYNC'],
  [0o20000, 'FASYNC'],
  [0o40000, 'O_DIRECT'],
  [0o100000, 'O_LARGEFILE'],
  [0o200000, 'O_DIRECTORY'],
  [0o400000, 'O_NOFOLLOW'],
  [0o1000000, 'O_NOATIME'],
  [0o2000000, 'O_CLOEXEC'],
  [0o10000000, 'O_PATH'],
]
export const accessModes = choices('O_', 'RDONLY WRONLY RDWR ACCMODE')
export const O_CREAT = 0o100
export const O_TMPFILE = 0o20000000

export const fcntlCommands: Choices = {
  ...choices('F_', 'DUPFD GETFD SETFD GETFL SETFL GETLK SETLK SETLKW SETOWN GETOWN SETSIG GETSIG'),
  36: 'F_OFD_GETLK',
  37: 'F_OFD_SETLK',
  38: 'F_OFD_SETLKW',
  1024: 'F_SETLEASE',
  1025: 'F_GETLEASE',
  1026: 'F_NOTIFY',
  1030: 'F_DUPFD_CLOEXEC',
  1031: 'F_SETPIPE_SZ',
  1032: 'F_GETPIPE_SZ',
  1033: 'F_ADD_SEALS',
  1034: 'F_GET_SEALS',
}
export const atFlags: Bits = [
  [0x100, 'AT_SYMLINK_NOFOLLOW'],
  [0x400, 'AT_SYMLINK_FOLLOW'],
  [0x800, 'AT_NO_AUTOMOUNT'],
  [0x1000, 'AT_EMPTY_PATH'],
  [0x2000, 'AT_STATX_FORCE_SYNC'],
  [0x4000, 'AT_STATX_DONT_SYNC'],
]
/** 0x200 is two things. */
export const unlinkFlags: Bits = [[0x200, 'AT_REMOVEDIR']]
export const accessFlags: Bits = [[0x200, 'AT_EACCESS'], ...atFlags]
export const renameFlags = bits(1, 'RENAME_NOREPLACE RENAME_EXCHANGE RENAME_WHITEOUT')
/** unistd.h. */
export const accessKinds: Bits = [
  [4, 'R_OK'],
  [2, 'W_OK'],
  [1, 'X_OK'],
]
export const whence = choices('SEEK_', 'SET CUR END DATA HOLE')
/** stat.h. */
export const fileKinds: Choices = {
  0o010000: 'S_IFIFO',
  0o020000: 'S_IFCHR',
  0o040000: 'S_IFDIR',
  0o060000: 'S_IFBLK',
  0o100000: 'S_IFREG',
  0o120000: 'S_IFLNK',
  0o140000: 'S_IFSOCK',
}
export const statxMask: Bits = [
  [0xfff, 'STATX_ALL'],
  [0x7ff, 'STATX_BASIC_STATS'],
  ...bits(1, 'STATX_TYPE STATX_MODE STATX_NLINK STATX_UID STATX_GID STATX_ATIME STATX_MTIME'),
  ...bits(0x80, 'STATX_CTIME STATX_INO STATX_SIZE STATX_BLOCKS STATX_BTIME STATX_MNT_ID'),
]
/** mman.h and mman-common.h. The two lowest bits of its flags are {@link mapKinds}. */
export const protection = bits(1, 'PROT_READ PROT_WRITE PROT_EXEC PROT_SEM')
export const mapKinds = choices('MAP_', 'FILE SHARED PRIVATE SHARED_VALIDATE')
export const mapFlags: Bits = [
  ...bits(0x10, 'MAP_FIXED MAP_ANONYMOUS MAP_32BIT'),
  ...bits(0x100, 'MAP_GROWSDOWN - - MAP_DENYWRITE MAP_EXECUTABLE MAP_LOCKED MAP_NORESERVE'),
  ...bits(0x8000, 'MAP_POPULATE MAP_NONBLOCK MAP_STACK MAP_HUGETLB MAP_SYNC MAP_FIXED_NOREPLACE'),
]
export const remapFlags = bits(1, 'MREMAP_MAYMOVE MREMAP_FIXED MREMAP_DONTUNMAP')
export const syncFlags = bits(1, 'MS_ASYNC MS_INVALIDATE MS_SYNC')
export const advice: Choices = {
  ...choices('MADV_', 'NORMAL RANDOM SEQUENTIAL WILLNEED DONTNEED'),
  8: 'MADV_FREE',
  9: 'MADV_REMOVE',
  10: 'MADV_DONTFORK',
  11: 'MADV_DOFORK',
  12: 'MADV_MERGEABLE',
  13: 'MADV_UNMERGEABLE',
  14: 'MADV_HUGEPAGE',
  15: 'MADV_NOHUGEPAGE',
  16: 'MADV_DONTDUMP',
  17: 'MADV_DODUMP',
}
export const memfdFlags = bits(1, 'MFD_CLOEXEC MFD_ALLOW_SEALING MFD_HUGETLB')
/** random.h. */
export const randomFlags = bits(1, 'GRND_NONBLOCK GRND_RANDOM GRND_INSECURE')
/** prctl.h of x86. */
export const archCodes: Choices = {
  0x1001: 'ARCH_SET_GS',
  0x1002: 'ARCH_SET_FS',
  0x1003: 'ARCH_GET_FS',
  0x1004: 'ARCH_GET_GS',
  0x1011: 'ARCH_GET_CPUID',
  0x1012: 'ARCH_SET_CPUID',
  0x3001: 'ARCH_CET_STATUS',
}
export const prctlOptions: Choices = {
  1: 'PR_SET_PDEATHSIG',
  3: 'PR_GET_DUMPABLE',
  4: 'PR_SET_DUMPABLE',
  15: 'PR_SET_NAME',
  16: 'PR_GET_NAME',
  22: 'PR_SET_SECCOMP',
  23: 'PR_CAPBSET_READ',
  36: 'PR_SET_CHILD_SUBREAPER',
  38: 'PR_SET_NO_NEW_PRIVS',
  39: 'PR_GET_NO_NEW_PRIVS',
  0x53564d41: 'PR_SET_VMA',
}
/** ioctls.h. */
export const ioctls: Choices = {
  0x5401: 'TCGETS',
  0x5402: 'TCSETS',
  0x5403: 'TCSETSW',
  0x5404: 'TCSETSF',
  0x540f: 'TIOCGPGRP',
  0x5410: 'TIOCSPGRP',
  0x5413: 'TIOCGWINSZ',
  0x5414: 'TIOCSWINSZ',
  0x541b: 'FIONREAD',
  0x5421: 'FIONBIO',
  0x5450: 'FIONCLEX',
  0x5451: 'FIOCLEX',
  0x802c542a: 'TCGETS2',
  0x40049409: 'FICLONE',
}
/** futex.h: a command, and two bits. */
export const futexCommands = choices(
  'FUTEX_',
  'WAIT WAKE FD REQUEUE CMP_REQUEUE WAKE_OP LOCK_PI UNLOCK_PI TRYLOCK_PI WAIT_BITSET WAKE_BITSET',
)
export const FUTEX_PRIVATE = 0x80
export const FUTEX_CLOCK_REALTIME = 0x100
/** time.h. */
export const clocks = choices(
  'CLOCK_',
  'REALTIME MONOTONIC PROCESS_CPUTIME_ID THREAD_CPUTIME_ID MONOTONIC_RAW REALTIME_COARSE ' +
    'MONOTONIC_COARSE BOOTTIME REALTIME_ALARM BOOTTIME_ALARM',
)
export const timerFlags = bits(1, 'TIMER_ABSTIME')
export const timers = choices('ITIMER_', 'REAL VIRTUAL PROF')
/** resource.h. */
export const resources = choices(
  'RLIMIT_',
  'CPU FSIZE DATA STACK CORE RSS NPROC NOFILE MEMLOCK AS LOCKS SIGPENDING MSGQUEUE NICE RTPRIO ' +
    'RTTIME',
)
export const usages: Choices = { 0: 'RUSAGE_SELF', 1: 'RUSAGE_THREAD', [-1]: 'RUSAGE_CHILDREN' }
/** signal.h. */
export const maskings = choices('SIG_', 'BLOCK UNBLOCK SETMASK')
export const actionFlags: Bits = [
  ...bits(1, 'SA_NOCLDSTOP SA_NOCLDWAIT SA_SIGINFO'),
  [0x04000000, 'SA_RESTORER'],
  [0x08000000, 'SA_ONSTACK'],
  [0x10000000, 'SA_RESTART'],
  [0x40000000, 'SA_NODEFER'],
  [0x80000000, 'SA_RESETHAND'],
]
/** poll.h. */
export const pollEvents = bits(
  1,
  'POLLIN POLLPRI POLLOUT POLLERR POLLHUP POLLNVAL POLLRDNORM POLLRDBAND POLLWRNORM POLLWRBAND',
)
/** eventpoll.h. */
export const epollCommands: Choices = { 1: 'EPOLL_CTL_ADD', 2: 'EPOLL_CTL_DEL', 3: 'EPOLL_CTL_MOD' }
/** fcntl.h of the kernel. */
export const locks: Bits = [...bits(1, 'LOCK_SH LOCK_EX LOCK_NB LOCK_UN')]
/** falloc.h. */
export const allocations = bits(
  1,
  'FALLOC_FL_KEEP_SIZE FALLOC_FL_PUNCH_HOLE - FALLOC_FL_COLLAPSE_RANGE FALLOC_FL_ZERO_RANGE',
)
/** socket.h. The lowest four bits of a type are {@link socketTypes}. */
export const families: Choices = {
  0: 'AF_UNSPEC',
  1: 'AF_UNIX',
  2: 'AF_INET',
  10: 'AF_INET6',
  16: 'AF_NETLINK',
  17: 'AF_PACKET',
}
export const socketTypes: Choices = {
  1: 'SOCK_STREAM',
  2: 'SOCK_DGRAM',
  3: 'SOCK_RAW',
  5: 'SOCK_SEQPACKET',
}
export const socketFlags: Bits = [
  [0o4000, 'SOCK_NONBLOCK'],
  [0o2000000, 'SOCK_CLOEXEC'],
]
/** sched.h. The lowest byte is a signal. */
export const cloneFlags: Bits = [
  ...bits(0x100, 'CLONE_VM CLONE_FS CLONE_FILES CLONE_SIGHAND CLONE_PIDFD CLONE_PTRACE'),
  ...bits(0x4000, 'CLONE_VFORK CLONE_PARENT CLONE_THREAD CLONE_NEWNS CLONE_SYSVSEM CLONE_SETTLS'),
  ...bits(0x100000, 'CLONE_PARENT_SETTID CLONE_CHILD_CLEARTID CLONE_DETACHED CLONE_UNTRACED'),
  [0x01000000, 'CLONE_CHILD_SETTID'],
]

/** Bits by name, the rest as a number; `none` for no bit at all. */
export function nameBits(value: bigint, known: Bits, none = '0'): string {
  if (value === 0n) return none
  let rest = value
  const names: string[] = []
  for (const [bit, name] of known) {
    const wide = BigInt(bit)
    if ((rest & wide) !== wide) continue
    names.push(name)
    rest &= ~wide
  }
  if (rest !== 0n) names.push(`0x${rest.toString(16)}`)
  return names.join('|')
}

/** A number by name, or as a number. */
export function nameChoice(value: number, known: Choices): string {
  return known[value] ?? (value > 9 ? `0x${value.toString(16)}` : String(value))
}
