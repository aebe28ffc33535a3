import test from 'ava'

import { decode } from '../src/machine/snapshot/decode.ts'
import { encode } from '../src/machine/snapshot/encode.ts'
import { VmError } from '../src/index.ts'

const copy = (value: unknown): unknown => decode('a device', encode('a device', value))

const isRefused = (error: unknown): boolean =>
  error instanceof VmError && error.code === 'ERR_SNAPSHOT'

const plain: Record<string, unknown> = {
  nothing: [undefined, null],
  numbers: [0, -0, 1.5, NaN, Infinity, Number.MIN_VALUE],
  bigints: [0n, -1n, 2n ** 200n, -(2n ** 64n)],
  strings: ['', 'text', 'π\u{1f600}', '\ud800 half a pair'],
  dates: [new Date(0), new Date(NaN)],
  expressions: [/a+/giu],
  collections: [new Map<unknown, unknown>([[{ key: 1 }, new Set([1, '2', 3n])]])],
  buffers: [
    new ArrayBuffer(3),
    Uint8Array.of(1, 2, 3),
    new Float64Array([0.5]),
    new DataView(new ArrayBuffer(2)),
  ],
  wide: [Uint16Array.of(1), BigUint64Array.of(2n ** 63n), new Uint8ClampedArray([255])],
  nested: [{ a: { b: { c: [[[]]] } } }],
  names: [JSON.parse('{"__proto__":{"polluted":true},"constructor":1}')],
}

for (const [name, value] of Object.entries(plain)) {
  test(`a device's state comes back as structuredClone would copy it: ${name}`, (t) => {
    t.deepEqual(copy(value), structuredClone(value))
    t.is(Object.getPrototypeOf(copy({ value })), Object.prototype)
  })
}

test('holes, shared objects and circles come back', (t) => {
  const [array, shared]: [unknown[], { self?: unknown }] = [[], {}]
  array[3] = shared
  array[5] = shared
  array.length = 7
  shared.self = array
  const back = copy(array) as unknown[]
  t.deepEqual([back.length, 0 in back, 3 in back], [7, false, true])
  t.is(back[3], back[5])
  t.is((back[3] as { self: unknown }).self, back)
})

test('views of one buffer share it afterwards', (t) => {
  const buffer = new ArrayBuffer(16)
  const [bytes, words] = copy([new Uint8Array(buffer, 4, 4), new Uint32Array(buffer, 4, 1)]) as [
    Uint8Array,
    Uint32Array,
  ]
  bytes[1] = 1
  t.is(words[0], 0x100)
})

test('errors keep their class, message and cause', (t) => {
  const error = copy(new TypeError('wrong', { cause: { code: 1 } })) as TypeError
  t.true(error instanceof TypeError)
  t.deepEqual([error.name, error.message, error.cause], ['TypeError', 'wrong', { code: 1 }])
})

const refused: Record<string, () => unknown> = {
  'a function': () => ({ call() {} }),
  'a symbol': () => Symbol('s'),
  'a promise': () => Promise.resolve(1),
  'shared memory': () => new Uint8Array(new SharedArrayBuffer(1)),
  'a WeakMap': () => new WeakMap(),
  'too many levels': () => {
    let deep: unknown = 0
    for (let level = 0; level < 1000; level++) deep = [deep]
    return deep
  },
}

for (const [name, make] of Object.entries(refused)) {
  test(`what cannot be written is named: ${name}`, (t) => {
    const error = t.throws(() => encode('port 0x60', make()), { instanceOf: VmError })
    t.is(error.code, 'ERR_SNAPSHOT')
    t.regex(error.message, /port 0x60/)
  })
}

test('damaged bytes are an error or another value, whatever is wrong with them', (t) => {
  const bytes = encode('a device', plain)
  let seed = 1
  const random = (below: number): number => {
    seed = (seed * 48_271) % 0x7fff_ffff
    return seed % below
  }
  let errors = 0
  for (let round = 0; round < 5000; round++) {
    const damaged = bytes.slice(0, round % 3 === 0 ? random(bytes.length) : bytes.length)
    for (let change = random(4); change >= 0; change--) {
      if (damaged.length > 0) damaged[random(damaged.length)] = random(256)
    }
    try {
      decode('a device', damaged)
    } catch (error) {
      errors += 1
      if (!isRefused(error)) throw error
    }
  }
  t.true(errors > 1000)
})

test('a length beyond the bytes makes nothing', (t) => {
  for (const kind of [5, 7, 9, 11, 14, 15, 16]) {
    const error = t.throws(() => decode('a device', Uint8Array.of(kind, 255, 255, 255, 255)))
    t.true(isRefused(error), `kind ${kind}`)
  }
})
