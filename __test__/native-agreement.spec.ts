// A library answers as WebAssembly does, in whatever language and with whatever libc it was made.
import test, { type ExecutionContext } from 'ava'
import { GuestFault, type Library, instantiate } from 'vmexit/process'

import { kvmTest } from './helpers/kvm.ts'
import { type NativeName, nativeNames } from './helpers/native.ts'
import {
  Trap,
  type Visitors,
  asKind,
  libraryOf,
  vectors,
  webAssembly,
} from './helpers/native-vectors.ts'
import { affordable } from './helpers/speed.ts'

/** One after the other: starts that compete are slow, and each has a time. */
const serially = (title: string, body: (t: ExecutionContext) => Promise<void>): void =>
  kvmTest(title, body, test.serial)

const timeoutMs = 300_000

/** Remembers what it was called with. */
function visitors(): Visitors & { calls: unknown[][] } {
  const calls: unknown[][] = []
  return {
    calls,
    visit: (index, value) => {
      calls.push([index, value])
      return index * 10 + Math.floor(value)
    },
    weigh: (text, value, factor) => {
      calls.push([text, value, factor])
      return Number(value) * factor
    },
  }
}

/** A test of each library that is there. */
function eachLibrary(
  title: string,
  needs: string,
  body: (t: ExecutionContext, library: Library, name: NativeName, heard: Visitors) => void,
): void {
  for (const name of nativeNames) {
    serially(`${title}: ${name}`, async (t) => {
      const found = libraryOf(name)
      if ('missing' in found) {
        t.log(`skipped: ${found.missing}`)
        t.pass()
        return
      }
      if (!found.exported.has(needs)) return void t.pass()
      const heard = visitors()
      const { visit, weigh } = heard
      const imports = { visit, weigh, unheard: () => undefined }
      using library = await instantiate(found.image, { imports, timeoutMs })
      body(t, library, name, heard)
    })
  }
}

/** What a call gives; a fault is one, whatever it is called. */
function outcome(call: () => unknown, mend: () => void): unknown {
  try {
    return call()
  } catch (error) {
    if (!(error instanceof GuestFault || error instanceof Trap)) throw error
    mend()
    return 'a fault'
  }
}

// Where a call is slow some of them have to do, not always the same ones of a function.
const step = Math.round(vectors.length / affordable(vectors.length))

eachLibrary('integers and floating-point numbers are as in WebAssembly', 'add', (t, library) => {
  const other = webAssembly(visitors())
  const known = vectors.filter(({ name }) => name in library.exports)
  t.true(known.length > 4000)
  for (let index = 0; index < known.length; index += step) {
    const { name, result, args } = known[index]!
    const found = outcome(
      () => library.exports[name]!(...args),
      () => library.reset(),
    )
    const wanted = outcome(
      () => asKind(result, other.functions[name]!(...args)),
      () => undefined,
    )
    if (!Object.is(found, wanted)) t.is(found, wanted, `${name}(${args.join(', ')})`)
  }
})

eachLibrary('structures by pointer are as in WebAssembly', 'scale', (t, library) => {
  const other = webAssembly(visitors())
  const bytes = new Uint8Array(16 * 5)
  const view = new DataView(bytes.buffer)
  for (let point = 0; point < 5; point += 1) {
    view.setFloat64(16 * point, [1.1, -0, Number.MIN_VALUE, Infinity, Number.NaN][point]!, true)
    view.setFloat32(16 * point + 8, [0.1, 3e38, 2 ** -149, -1, Number.NaN][point]!, true)
    view.setInt32(16 * point + 12, 1000 * point - 1, true)
  }
  const at = library.alloc(bytes.length)
  library.memory.write(at, bytes)
  other.memory.set(bytes, other.free)
  library.exports['scale']!(at, 5, 1 / 3)
  other.functions['scale']!(other.free, 5, 1 / 3)
  t.deepEqual(library.memory.read(at, 80), other.memory.slice(other.free, other.free + 80))
  t.is(library.memory.readUint32(at + 28), 1000)
  // Of the doubles among them, with and without NaN.
  for (const [from, count] of [
    [0, 10],
    [0, 6],
    [32, 1],
    [0, 0],
  ] as const) {
    const sum = library.exports['sum']!(at + from, count)
    t.is(sum, other.functions['sum']!(other.free + from, count))
  }
})

eachLibrary('imports are called as in WebAssembly', 'each', (t, library, _, heard) => {
  const wanted = visitors()
  const other = webAssembly(wanted)
  for (const name of ['each', 'by_pointer'])
    for (const value of [0, 1, 7, 100])
      t.is(library.exports[name]!(value), other.functions[name]!(value))
  for (const value of [0n, -1n, 2n ** 63n - 1n])
    t.is(library.exports['ask']!(value), other.functions['ask']!(value))
  const calls = (heard as ReturnType<typeof visitors>).calls
  t.deepEqual(calls, wanted.calls)
  t.is(calls.length, 0 + 1 + 7 + 100 + 4 + 3)
  t.deepEqual(calls.at(-1), ['a text', 2n ** 63n - 1n, Math.fround(0.1)])
})

eachLibrary('more arguments than there are registers arrive', 'many', (t, library) => {
  const args = [-1, 0.5, -(2n ** 40n), 0.25, 3, -0.125, 4, 5, 6, 7, 8.5, 9.5, 10.5, 1e10, 1, 2, 3]
  const wanted = webAssembly(visitors()).functions['many']!(...args)
  t.is(library.exports['many']!(...args), wanted)
  t.not(wanted, library.exports['many']!(...args.with(16, 4)))
})

eachLibrary(
  'a variadic function is not there without the types of a call',
  'total',
  (t, library) => {
    t.false('total' in library.exports)
    t.true('next' in library.exports)
  },
)

eachLibrary('texts go in and come out', 'length', (t, library) => {
  for (const text of ['', 'a', 'grüße', 'x'.repeat(10_000)])
    t.is(library.exports['length']!(text), Buffer.byteLength(text))
  if (!('digit' in library.exports)) return
  t.is(library.exports['digit']!(7), '7')
})

eachLibrary('what a library keeps is as after its start after a reset', 'next', (t, library) => {
  for (const turn of [1, 2, 3]) t.is(library.exports['next']!(), turn)
  library.reset()
  t.is(library.exports['next']!(), 1)
})

for (const name of ['plain', 'glibc', 'glibc-pie', 'musl', 'c++'] satisfies NativeName[]) {
  serially(`a variadic function has the types of its call: ${name}`, async (t) => {
    const found = libraryOf(name)
    if ('missing' in found) {
      t.log(`skipped: ${found.missing}`)
      t.pass()
      return
    }
    const { visit, weigh } = visitors()
    const total = 'i32(i32, i32, f64, i32, f64, i32, f64)'
    const imports = { visit, weigh, unheard: () => undefined }
    using library = await instantiate(found.image, { exports: { total }, imports, timeoutMs })
    const args = [2, 0.5, -3, 1e3, 5, 0.2]
    t.is(
      library.exports.total(3, ...(args as [number, number, number, number, number, number])),
      -2998,
    )
    // WebAssembly gets the address of what stands in a row, each aligned to its size.
    const other = webAssembly(visitors())
    const row = new DataView(other.memory.buffer, other.free)
    for (const [index, value] of args.entries())
      if (index % 2 === 0) row.setInt32(8 * index, value, true)
      else row.setFloat64(8 * index, value, true)
    t.is(other.functions['total']!(3, other.free), -2998)
  })
}
