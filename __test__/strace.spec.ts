// System calls as `vmexit exec --syscalls` shows them: what strace prints of the same call.
import test from 'ava'

import { signatures } from '../src/cli/strace/calls.ts'
import { nameBits, openFlags, statxMask } from '../src/cli/strace/flags.ts'
import { quoteBytes, quoteText } from '../src/cli/strace/seen.ts'
import { signalName } from '../src/cli/strace/structures.ts'
import { beginCall, endCall, lineOfLast } from '../src/cli/strace/text.ts'
import { VmError } from '../src/native/errors.ts'
import { numberOf } from '../src/process/program/calls/names.ts'

/** Memory that has these bytes, at one address each, and nothing else. */
function memoryOf(places: Record<number, Uint8Array | string>) {
  const read = (address: bigint, length: number): Uint8Array => {
    for (const [start, contents] of Object.entries(places)) {
      const bytes = Buffer.from(contents as string)
      const offset = Number(address) - Number(start)
      if (offset >= 0 && offset + length <= bytes.length)
        return bytes.subarray(offset, offset + length)
    }
    throw new VmError('ERR_GUEST_MEMORY', 'nothing there')
  }
  return {
    read,
    write: () => undefined,
    readString: (address: bigint) => {
      const text = places[Number(address)]
      if (typeof text === 'string') return text
      throw new VmError('ERR_GUEST_MEMORY', 'nothing there')
    },
  }
}

/** The line of a call, without the spaces before its result. */
function shown(
  name: string,
  args: (number | bigint)[],
  result: bigint | number | undefined,
  places: Record<number, Uint8Array | string> = {},
): string {
  const call = { name, number: 0, args: args.map(BigInt), memory: memoryOf(places) }
  const begun = beginCall(call)
  const line = result === undefined ? lineOfLast(begun) : endCall(begun, BigInt(result))
  return line.replace(/ +=/, ' =').trimEnd()
}

const words = (...values: (number | bigint)[]): Uint8Array =>
  new Uint8Array(BigUint64Array.from(values, BigInt).buffer)

// Arguments and results, and the line for them.
const cases: [line: string, Parameters<typeof shown>][] = [
  [
    'openat(AT_FDCWD, "/etc/passwd", O_RDONLY|O_CLOEXEC) = 3',
    ['openat', [-100, 16, 0o2000000, 0xffff], 3, { 16: '/etc/passwd' }],
  ],
  [
    'openat(AT_FDCWD, "a", O_WRONLY|O_CREAT|O_TRUNC, 0666) = -1 EACCES (Permission denied)',
    ['openat', [-100, 16, 0o1101, 0o666], -13, { 16: 'a' }],
  ],
  ['open("/", O_RDONLY|O_DIRECTORY) = 4', ['open', [16, 0o200000, 0], 4, { 16: '/' }]],
  ['open(0x10, O_RDWR) = -1 EFAULT (Bad address)', ['open', [16, 2, 0], -14]],
  ['open(NULL, O_RDONLY) = -1 EFAULT (Bad address)', ['open', [0, 0, 0], -14]],
  [String.raw`write(1, "a\tb\n", 4) = 4`, ['write', [1, 16, 4], 4, { 16: 'a\tb\n' }]],
  ['write(1, 0x10, 4) = -1 EFAULT (Bad address)', ['write', [1, 16, 4], -14]],
  [
    `write(1, "${'x'.repeat(32)}"..., 100) = 100`,
    ['write', [1, 16, 100], 100, { 16: 'x'.repeat(100) }],
  ],
  ['read(0, "ab", 10) = 2', ['read', [0, 16, 10], 2, { 16: 'abcdefghij' }]],
  ['read(0, "", 10) = 0', ['read', [0, 16, 10], 0, { 16: 'abcdefghij' }]],
  ['read(7, 0x10, 10) = -1 EBADF (Bad file descriptor)', ['read', [7, 16, 10], -9]],
  [
    'writev(1, [{iov_base="one", iov_len=3}, {iov_base="\\n", iov_len=1}], 2) = 4',
    ['writev', [1, 64, 2], 4, { 16: 'one', 32: '\n', 64: words(16, 3, 32, 1) }],
  ],
  [
    'readv(0, [{iov_base="ab", iov_len=3}, {iov_base="", iov_len=1}], 2) = 2',
    ['readv', [0, 64, 2], 2, { 16: 'abc', 32: 'd', 64: words(16, 3, 32, 1) }],
  ],
  [
    'mmap(NULL, 8192, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = 0x7f0000000000',
    ['mmap', [0, 8192, 3, 0x22, 0xffffffff, 0], 0x7f0000000000n],
  ],
  [
    'mmap(0x10000, 4096, PROT_NONE, MAP_SHARED|MAP_FIXED, 3, 0x1000) = -1 ENODEV (No such device)',
    ['mmap', [0x10000, 4096, 0, 0x11, 3, 0x1000], -19],
  ],
  ['mprotect(0x1000, 4096, PROT_READ) = 0', ['mprotect', [0x1000, 4096, 1], 0]],
  ['brk(NULL) = 0x5ec000', ['brk', [0], 0x5ec000]],
  ['lseek(3, -1, SEEK_END) = 9', ['lseek', [3, -1n & 0xffffffffffffffffn, 2], 9]],
  [
    'access("/x", R_OK|W_OK) = -1 ENOENT (No such file or directory)',
    ['access', [16, 6], -2, { 16: '/x' }],
  ],
  ['access("/x", F_OK) = 0', ['access', [16, 0], 0, { 16: '/x' }]],
  ['fcntl(1, F_GETFL) = 2', ['fcntl', [1, 3, 99], 2]],
  ['fcntl(1, F_SETFL, O_RDWR|O_NONBLOCK) = 0', ['fcntl', [1, 4, 0o4002], 0]],
  ['fcntl(1, F_SETFD, FD_CLOEXEC) = 0', ['fcntl', [1, 2, 1], 0]],
  ['fcntl(1, F_DUPFD_CLOEXEC, 10) = 10', ['fcntl', [1, 1030, 10], 10]],
  [
    'futex(0x10, FUTEX_WAKE_PRIVATE, 2147483647, NULL, NULL, 0) = 0',
    ['futex', [16, 0x81, 0x7fffffff, 0, 0, 0], 0],
  ],
  [
    'clock_nanosleep(CLOCK_REALTIME, 0, {tv_sec=5, tv_nsec=7}, NULL) = 0',
    ['clock_nanosleep', [0, 0, 16, 0], 0, { 16: words(5, 7) }],
  ],
  ['arch_prctl(ARCH_SET_FS, 0x1000) = 0', ['arch_prctl', [0x1002, 0x1000], 0]],
  ['pipe2([3, 4], O_CLOEXEC) = 0', ['pipe2', [16, 0o2000000], 0, { 16: words(3n | (4n << 32n)) }]],
  ['kill(2, SIGTERM) = 0', ['kill', [2, 15], 0]],
  [
    'rt_sigprocmask(SIG_BLOCK, [INT CHLD], NULL, 8) = 0',
    ['rt_sigprocmask', [0, 16, 0, 8], 0, { 16: words((1n << 1n) | (1n << 16n)) }],
  ],
  [
    'rt_sigaction(SIGINT, {sa_handler=SIG_IGN, sa_mask=[], sa_flags=SA_RESTORER|SA_RESTART, ' +
      'sa_restorer=0x7000}, NULL, 8) = 0',
    ['rt_sigaction', [2, 16, 0, 8], 0, { 16: words(1, 0x14000000, 0x7000, 0) }],
  ],
  [
    'prlimit64(0, RLIMIT_STACK, NULL, {rlim_cur=8192*1024, rlim_max=RLIM64_INFINITY}) = 0',
    ['prlimit64', [0, 3, 0, 16], 0, { 16: words(8388608, 2n ** 64n - 1n) }],
  ],
  [
    'poll([{fd=0, events=POLLIN, revents=POLLHUP}], 1, -1) = 1',
    ['poll', [16, 1, 0xffffffff], 1, { 16: words(0n | (1n << 32n) | (16n << 48n)) }],
  ],
  ['umask(022) = 077', ['umask', [0o22], 0o77]],
  [
    'socket(AF_INET, SOCK_STREAM|SOCK_CLOEXEC, 0) = -1 EACCES (Permission denied)',
    ['socket', [2, 0o2000001, 0], -13],
  ],
  [
    'ioctl(1, TCGETS, 0x10) = -1 ENOTTY (Inappropriate ioctl for device)',
    ['ioctl', [1, 0x5401, 16], -25],
  ],
  ['getpid() = 2', ['getpid', [1, 2, 3], 2]],
  ['syscall_500(0x1, 0x2) = -1 ENOSYS (Function not implemented)', ['syscall_500', [1, 2], -38]],
  ['exit_group(3) = ?', ['exit_group', [3], undefined]],
  ['read(0, <unfinished ...>', ['read', [0, 16, 10], undefined]],
  ['pause(<unfinished ...>', ['pause', [], undefined]],
]

for (const [line, given] of cases) test(line, (t) => t.is(shown(...given), line))

test('of a file its kind, rights and size are shown', (t) => {
  const bytes = Buffer.alloc(144)
  bytes.writeUInt32LE(0o100644, 24)
  bytes.writeBigInt64LE(1234n, 48)
  const line = 'fstat(3, {st_mode=S_IFREG|0644, st_size=1234, ...}) = 0'
  t.is(shown('fstat', [3, 4096], 0, { 4096: bytes }), line)
})

test('the result stands in the column of strace', (t) => {
  const begun = beginCall({ name: 'getpid', number: 39, args: [], memory: memoryOf({}) })
  t.is(endCall(begun, 2n), `${'getpid()'.padEnd(39)} = 2\n`)
})

test('every call of the table has a number, and kinds that there are', (t) => {
  t.true(signatures.size > 200)
  for (const [name, { args, result }] of signatures) {
    t.notThrows(() => numberOf(name), name)
    t.true(
      [...args, result].every((kind) => typeof kind?.show === 'function'),
      name,
    )
    t.true(args.length <= 6, name)
  }
})

test('a hostile text steers no terminal', (t) => {
  t.is(quoteBytes(Uint8Array.of(27, 49, 0, 255, 34)), String.raw`"\0331\0\377\""`)
  t.is(quoteText('a\u001B[2Jb"\\é'), String.raw`"a\33[2Jb\"\\é"`)
  t.is(quoteText('\u202Ex\u0085'), String.raw`"\342\200\256x\302\205"`)
})

test('whatever a program passes, there is a line', (t) => {
  const values = [0, 1, 0x7fffffff, 2n ** 64n - 1n, 2n ** 63n, 0xffff8000_00000000n, 4096]
  for (const [name] of signatures)
    for (const value of values)
      for (const result of [0n, 5n, -14n, 2n ** 62n, undefined]) {
        const line = shown(name, Array<number | bigint>(6).fill(value), result)
        t.true(line.startsWith(`${name}(`) && line.length < 2000, line)
      }
})

test('bits that have no name are shown, too', (t) => {
  t.is(nameBits(0o2000000n | (1n << 30n), openFlags), 'O_CLOEXEC|0x40000000')
  t.is(nameBits(0x7ffn, statxMask), 'STATX_BASIC_STATS')
  t.is(signalName(6), 'SIGABRT')
  t.is(signalName(32), 'SIGRTMIN')
  t.is(signalName(35), 'SIGRT_3')
})
