// Values that no caller means to pass, by name, so that a task stays plain JSON.
import { runInNewContext } from 'node:vm'

/** What odd values throw of their own accord. */
export class Planted extends Error {
  name = 'Planted'
}

const plant = () => {
  throw new Planted('planted')
}

function detached() {
  const bytes = new Uint8Array(16)
  structuredClone(bytes.buffer, { transfer: [bytes.buffer] })
  return bytes
}

function shrunk() {
  const buffer = new ArrayBuffer(64, { maxByteLength: 4096 })
  const bytes = new Uint8Array(buffer, 32)
  buffer.resize(16)
  return bytes
}

const revoked = () => {
  const { proxy, revoke } = Proxy.revocable({}, {})
  revoke()
  return proxy
}

const holes = () => {
  const array = []
  array.length = 3
  return array
}

// oxlint-disable-next-line unicorn/no-thenable -- on purpose: promises take such an object for one of theirs
const THEN = 'then'

const makers = {
  undefined: () => undefined,
  null: () => null,
  NaN: () => Number.NaN,
  '-0': () => -0,
  Infinity: () => Infinity,
  '-1': () => -1,
  1.5: () => 1.5,
  '2^32': () => 2 ** 32,
  '2^53': () => 2 ** 53,
  '1e300': () => 1e300,
  '0n': () => 0n,
  '-1n': () => -1n,
  '2^64n': () => 2n ** 64n,
  'empty text': () => '',
  text: () => 'constructor',
  'long text': () => 'x'.repeat(1 << 20),
  'half a character': () => '\ud800',
  true: () => true,
  symbol: () => Symbol('odd'),
  function: () => () => undefined,
  class: () => Date,
  'empty array': () => [],
  holes: holes,
  array: () => [1, 'x', null],
  'long array': () => Array.from({ length: 300 }, () => ({})),
  object: () => ({}),
  'bare object': () => Object.create(null),
  date: () => new Date(0),
  'number object': () => Object(5),
  proxy: () => new Proxy({}, {}),
  'proxy of bytes': () => new Proxy(new Uint8Array(4), {}),
  'throwing proxy': () =>
    new Proxy({}, { get: plant, ownKeys: plant, getPrototypeOf: plant, has: plant }),
  'revoked proxy': revoked,
  'throwing getter': () => ({
    get to() {
      return plant()
    },
    get image() {
      return plant()
    },
    get timeoutMs() {
      return plant()
    },
  }),
  'throwing conversion': () => ({ [Symbol.toPrimitive]: plant, toString: plant, valueOf: plant }),
  'no bytes': () => Object.create(Uint8Array.prototype),
  bytes: () => Uint8Array.of(0xe6, 0x60, 0xf4),
  'empty bytes': () => new Uint8Array(0),
  'other bytes': () => runInNewContext('new Uint8Array([0xf4])'),
  'detached bytes': detached,
  'shared bytes': () => new Uint8Array(new SharedArrayBuffer(8)).fill(0xf4),
  'resizable bytes': () => new Uint8Array(new ArrayBuffer(8, { maxByteLength: 4096 })).fill(0xf4),
  'shrunk bytes': shrunk,
  words: () => new Uint32Array(2),
  view: () => new DataView(new ArrayBuffer(8)),
  buffer: () => new ArrayBuffer(8),
  thenable: () => ({ [THEN]: (resolve) => resolve(1) }),
  'throwing thenable': () => ({
    get [THEN]() {
      return plant()
    },
  }),
  'selfish thenable': () => ({
    [THEN]: (resolve, reject) => (resolve(1), reject(new Planted()), plant()),
  }),
  never: () => new Promise(() => undefined),
  rejected: () => {
    const promise = Promise.reject(new Planted('rejected'))
    promise.catch(() => undefined)
    return promise
  },
}

const names = Object.keys(makers)

/** A description of an odd value. */
export const randomOdd = (random) => ({ odd: random.pick(names) })

const isOdd = (value) =>
  typeof value === 'object' && value !== null && typeof value.odd === 'string'

/** The value that a description describes; anything else is itself, looked into. */
export function materialize(value) {
  if (isOdd(value)) return makers[value.odd]()
  if (typeof value?.big === 'string') return BigInt(value.big)
  if (Array.isArray(value)) return value.map(materialize)
  if (typeof value === 'object' && value !== null) {
    return Object.fromEntries(
      Object.entries(value).map(([key, inner]) => [key, materialize(inner)]),
    )
  }
  return value
}

/** Replaces something within a value by an odd one. */
export function spoil(random, value) {
  const isBranch = typeof value === 'object' && value !== null && !isOdd(value)
  const keys = isBranch ? Object.keys(value) : []
  if (keys.length === 0 || random.oneIn(4)) return randomOdd(random)
  const key = random.pick(keys)
  const inner = spoil(random, value[key])
  return Array.isArray(value) ? value.with(Number(key), inner) : { ...value, [key]: inner }
}

/** Whether an error is one that odd values bring about by themselves: their own, or the engine's for a revoked proxy. */
export function isPlanted(error) {
  return error instanceof Planted || (error instanceof TypeError && /revoked/.test(error.message))
}
