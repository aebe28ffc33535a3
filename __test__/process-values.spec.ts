// How values of JavaScript become registers and stack slots of a call, and how results come back.
import test from 'ava'

import { show } from '../src/native/errors.ts'
import { type Guest, Marshaller } from '../src/process/values/marshal.ts'
import { parseSignature } from '../src/process/values/signature.ts'
import type { Texts } from '../src/process/texts.ts'

/** Offsets in the mailbox: RDI, XMM0, the results in RAX and XMM0. */
const [RDI, XMM0, RAX, RESULT] = [0x08, 0x38, 0x78, 0x80]

/** Strings that a guest would have. */
function guest(): { guest: Guest; put: (string | Uint8Array)[] } {
  const put: (string | Uint8Array)[] = []
  const texts = {
    put: (text: string | Uint8Array) => 0x6000_0000_0000 + put.push(text),
    get: (address: bigint) => (address === 0x1234n ? 'héllo' : undefined),
  } as unknown as Texts
  return { guest: { texts, registers: () => ({ rip: 0x99n }) as never }, put }
}

function made(text: string) {
  const { guest: from, put } = guest()
  const mailbox = new DataView(new ArrayBuffer(0x100))
  const signature = parseSignature('f', text, 'ERR_INVALID_OPTION')
  return { marshaller: new Marshaller('f', signature, from), mailbox, put }
}

/** The eight bytes that an argument becomes. */
function stored(kind: string, value: unknown): bigint {
  const { marshaller, mailbox } = made(`void(${kind})`)
  marshaller.store(mailbox, [value])
  return mailbox.getBigUint64(kind.startsWith('f') ? XMM0 : RDI, true)
}

const words: [kind: string, value: unknown, bits: bigint][] = [
  ['i32', 0, 0n],
  ['i32', -0, 0n],
  ['i32', -1, 0xffff_ffff_ffff_ffffn],
  ['i32', 2 ** 31 - 1, 0x7fff_ffffn],
  ['i32', -(2 ** 31), 0xffff_ffff_8000_0000n],
  ['u32', 2 ** 32 - 1, 0xffff_ffffn],
  ['char', -128, 0xffff_ffff_ffff_ff80n],
  ['unsigned short', 65_535, 0xffffn],
  ['bool', 1, 1n],
  ['i64', -(2n ** 63n), 1n << 63n],
  ['i64', 2n ** 63n - 1n, (1n << 63n) - 1n],
  ['u64', 2n ** 64n - 1n, (1n << 64n) - 1n],
  ['ptr', 2 ** 53 - 1, (1n << 53n) - 1n],
  ['usize', 0x1_0000_0001, 0x1_0000_0001n],
  ['f32', 1.1, 0x3f8c_cccdn],
  ['f32', 1e40, 0x7f80_0000n],
  ['f64', -0, 1n << 63n],
  ['f64', 5e-324, 1n],
  ['cstr', null, 0n],
  ['cstr', 'text', 0x6000_0000_0001n],
]

for (const [kind, value, bits] of words)
  test(`${kind} ${show(value)} is 0x${bits.toString(16)}`, (t) => t.is(stored(kind, value), bits))

const refused: [kind: string, value: unknown, error: 'TypeError' | 'RangeError'][] = [
  ['i32', '1', 'TypeError'],
  ['i32', 1n, 'TypeError'],
  ['i32', undefined, 'TypeError'],
  ['i32', null, 'TypeError'],
  ['i32', true, 'TypeError'],
  ['i32', 1.5, 'RangeError'],
  ['i32', Number.NaN, 'RangeError'],
  ['i32', 2 ** 31, 'RangeError'],
  ['i32', -(2 ** 31) - 1, 'RangeError'],
  ['u32', -1, 'RangeError'],
  ['u32', 2 ** 32, 'RangeError'],
  ['char', 128, 'RangeError'],
  ['uint8_t', 256, 'RangeError'],
  ['bool', 2, 'RangeError'],
  ['i64', 1, 'TypeError'],
  ['i64', 2n ** 63n, 'RangeError'],
  ['i64', -(2n ** 63n) - 1n, 'RangeError'],
  ['u64', -1n, 'RangeError'],
  ['u64', 2n ** 64n, 'RangeError'],
  ['f32', '1', 'TypeError'],
  ['f64', 1n, 'TypeError'],
  ['ptr', 1n, 'TypeError'],
  ['ptr', -1, 'RangeError'],
  ['ptr', 2 ** 53, 'RangeError'],
  ['usize', Number.POSITIVE_INFINITY, 'RangeError'],
  ['cstr', 5, 'TypeError'],
  ['cstr', undefined, 'TypeError'],
  ['cstr', 'a\0b', 'RangeError'],
  ['cstr', Uint8Array.of(1, 0), 'RangeError'],
]

for (const [kind, value, name] of refused) {
  test(`${kind} ${show(value)} is a ${name} that names function and position`, (t) => {
    const { marshaller, mailbox } = made(`void(i32, ${kind})`)
    t.throws(() => marshaller.store(mailbox, [1, value]), {
      name,
      message: /^f: argument 2 must (be|have) /,
    })
  })
}

test('nothing of an earlier call is left beside a narrow value', (t) => {
  const { marshaller, mailbox } = made('void(i32, f32)')
  for (const at of [RDI, XMM0]) mailbox.setBigUint64(at, (1n << 64n) - 1n, true)
  marshaller.store(mailbox, [1, 1])
  t.is(mailbox.getBigUint64(RDI, true), 1n)
  t.is(mailbox.getBigUint64(XMM0, true), 0x3f80_0000n)
})

test('too few and too many arguments are TypeErrors', (t) => {
  const { marshaller, mailbox } = made('void(i32, i32)')
  const message = 'f takes 2 arguments, got 1'
  t.throws(() => marshaller.store(mailbox, [1]), { name: 'TypeError', message })
  t.throws(() => marshaller.store(mailbox, [1, 2, 3]), { name: 'TypeError', message: /got 3$/ })
  const none = made('void()')
  t.throws(() => none.marshaller.store(mailbox, [1]), { message: 'f takes no arguments, got 1' })
  const one = made('void(i32)')
  t.throws(() => one.marshaller.store(mailbox, []), { message: 'f takes 1 argument, got 0' })
})

test('words and floating-point numbers have registers of their own, the rest goes on the stack', (t) => {
  const kinds = Array.from({ length: 10 }, () => 'i32, f64').join(', ')
  const { marshaller, mailbox } = made(`void(${kinds})`)
  const args = Array.from({ length: 20 }, (_, index) => index + 1)
  const stack = marshaller.store(mailbox, args)
  const read = (at: number, count: number, load: (at: number) => number) =>
    Array.from({ length: count }, (_, index) => load(at + 8 * index))
  t.deepEqual(
    read(RDI, 6, (at) => mailbox.getInt32(at, true)),
    [1, 3, 5, 7, 9, 11],
  )
  t.deepEqual(
    read(XMM0, 8, (at) => mailbox.getFloat64(at, true)),
    [2, 4, 6, 8, 10, 12, 14, 16],
  )
  const double = (value: number) => new BigUint64Array(new Float64Array([value]).buffer)[0]!
  // In the order of the parameters, the first one lowest.
  t.deepEqual(stack, [13n, 15n, 17n, double(18), 19n, double(20)])
})

test('a variadic function cannot be called before its arguments are named', (t) => {
  const { marshaller, mailbox } = made('int(int, ...)')
  const message = /^f is variadic: name its arguments in exports/
  t.throws(() => marshaller.store(mailbox, [1]), { name: 'TypeError', message })
})

/** What a result's eight bytes are. */
function loaded(kind: string, bits: bigint): unknown {
  const { marshaller, mailbox } = made(`${kind}()`)
  // A register that the type does not travel in has something else.
  mailbox.setBigUint64(RAX, 0x5555_5555_5555_5555n, true)
  mailbox.setBigUint64(RESULT, 0x5555_5555_5555_5555n, true)
  mailbox.setBigUint64(kind.startsWith('f') ? RESULT : RAX, bits, true)
  return marshaller.load(mailbox)
}

const rubbish = 0xabcd_ef01_0000_0000n

const results: [kind: string, bits: bigint, value: unknown][] = [
  ['void', 1n, undefined],
  ['i32', 0xffff_ffffn | rubbish, -1],
  ['u32', 0xffff_ffffn | rubbish, 2 ** 32 - 1],
  ['char', 0x1280n, -128],
  ['unsigned char', 0x1280n, 128],
  ['short', 0x0001_8000n, -32_768],
  ['uint16_t', 0x0001_8000n, 32_768],
  ['bool', 0xff00n, 0],
  ['bool', 0xff01n, 1],
  ['i64', (1n << 64n) - 1n, -1n],
  ['u64', (1n << 64n) - 1n, 2n ** 64n - 1n],
  ['f32', 0x3f80_0000n | rubbish, 1],
  ['f64', 0x7ff8_0000_0000_0000n, Number.NaN],
  ['f64', 1n << 63n, -0],
  ['ptr', (1n << 53n) - 1n, 2 ** 53 - 1],
  ['cstr', 0n, null],
  ['cstr', 0x1234n, 'héllo'],
]

for (const [kind, bits, value] of results)
  test(`0x${bits.toString(16)} as ${kind} is ${show(value)}`, (t) =>
    t.is(loaded(kind, bits), value))

for (const kind of ['ptr', 'usize']) {
  test(`a result above 2^53 - 1 as ${kind} is a RangeError`, (t) => {
    t.throws(() => loaded(kind, 1n << 53n), {
      name: 'RangeError',
      message: /^f: the result must be .* got 0x20000000000000/,
    })
  })
}

test('a result that points to no string is the fault of the guest', (t) => {
  const error = t.throws(() => loaded('cstr', 0x5678n), { name: 'EFAULT' })
  t.like(error, { address: 0x5678n, vector: undefined, rip: 0x99n })
})

test('a NaN keeps its bits', (t) => {
  const bits = new Float64Array(new BigUint64Array([0x7ff8_dead_beef_0001n]).buffer)[0]!
  t.is(stored('f64', bits), 0x7ff8_dead_beef_0001n)
})
