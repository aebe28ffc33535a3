// What libraries of each language do with their libc and their standard library.
import test, { type ExecutionContext } from 'ava'
import { GuestFault, type Library, instantiate } from 'vmexit/process'

import { kvmTest } from './helpers/kvm.ts'
import type { NativeName } from './helpers/native.ts'
import { libraryOf } from './helpers/native-vectors.ts'

/** One after the other: starts that compete are slow, and each has a time. */
const serially = (title: string, body: (t: ExecutionContext) => Promise<void>): void =>
  kvmTest(title, body, test.serial)

/** What a library has printed, to both its outputs. */
type Printed = Record<1 | 2, string>

type Body = (t: ExecutionContext, library: Library, printed: Printed) => void

/** A test with libraries, each of which may be missing. */
function libraryTest(title: string, names: readonly NativeName[], body: Body, exports?: object) {
  for (const name of names) {
    serially(`${title}: ${name}`, async (t) => {
      const found = libraryOf(name)
      if ('missing' in found) {
        t.log(`skipped: ${found.missing}`)
        t.pass()
        return
      }
      const printed: Printed = { 1: '', 2: '' }
      using library = await instantiate(found.image, {
        imports: { visit: () => 0, weigh: () => 0, unheard: () => undefined },
        timeoutMs: 300_000,
        onOutput: (fd, bytes) => (printed[fd] += Buffer.from(bytes).toString()),
        ...(exports && { exports: exports as Record<string, string> }),
      })
      body(t, library, printed)
    })
  }
}

const libcs: NativeName[] = ['glibc', 'glibc-pie', 'musl', 'musl-returns']

/** The fault that a call ends with. */
function faultOf(t: ExecutionContext, call: () => unknown): GuestFault {
  return t.throws(call, { instanceOf: GuestFault })!
}

function writeDoubles(library: Library, values: readonly number[]): number {
  const at = library.alloc(8 * values.length)
  library.memory.write(at, new Uint8Array(Float64Array.from(values).buffer))
  return at
}

const readDoubles = (library: Library, at: number, count: number): number[] =>
  Array.from(new Float64Array(Uint8Array.from(library.memory.read(at, 8 * count)).buffer))

libraryTest('a program starts with its name as its only argument', libcs, (t, library) => {
  t.is(library.exports['started']!(), '1 of none')
})

libraryTest('malloc gives memory, until there is none', libcs, (t, library) => {
  const { malloc, free, capitals } = library.exports
  const text = Number(capitals!('grüße, world'))
  t.is(Buffer.from(library.memory.read(text, 15)).toString(), 'GRüßE, WORLD\0')
  free!(text)
  const all = [1, 100, 5000, 200_000, 4_000_000].map((bytes) => Number(malloc!(bytes)))
  for (const at of all) library.memory.writeUint32(at, 1)
  t.is(new Set(all).size, all.length)
  for (const at of all) free!(at)
  t.is(malloc!(2 ** 40), 0)
  // Again and again, so that what is freed has to come back.
  for (let turn = 0; turn < 100; turn += 1) {
    const at = Number(malloc!(10_000_000))
    t.not(at, 0)
    library.memory.writeUint8(at + 9_999_999, turn)
    free!(at)
  }
})

const sorting: NativeName[] = [...libcs, 'c++', 'rust']
libraryTest('a library sorts', sorting, (t, library) => {
  const values = Array.from({ length: 1000 }, (_, index) => ((index * 7919) % 1009) / 4 - 100)
  const at = writeDoubles(library, values)
  library.exports['sort']!(at, values.length)
  const wanted = values.toSorted((a, b) => a - b)
  t.deepEqual(readDoubles(library, at, values.length), wanted)
})

const formats = {
  snprintf: 'i32(ptr, usize, cstr, i32, f64, cstr)',
  hypotenuse: 'double(double, double)',
}
libraryTest(
  'snprintf is called by the types of one call',
  libcs,
  (t, library) => {
    const at = library.alloc(64)
    const length = library.exports['snprintf']!(at, 64, '%+d|%.3e|%s', 42, 1234.5678, 'é')
    t.is(Buffer.from(library.memory.read(at, Number(length))).toString(), '+42|1.235e+03|é')
    t.is(library.exports['hypotenuse']!(3 * 2 ** 600, 4 * 2 ** 600), 5 * 2 ** 600)
  },
  formats,
)

libraryTest('what a library prints arrives', [...libcs, 'c++', 'rust'], (t, library, printed) => {
  library.exports['say']!('one')
  t.deepEqual(printed, { 1: 'one\n', 2: '' })
  library.exports['say']!('twelve '.repeat(2000))
  t.true(printed[1] === `one\n${'twelve '.repeat(2000)}\n`)
})

libraryTest('exit() and abort() end a call', libcs, (t, library) => {
  const left = faultOf(t, () => library.exports['leave']!(3))
  t.is(left.name, 'exit')
  t.is(left.exitCode, 3)
  t.is(left.vector, undefined)
  t.throws(() => library.exports['started']!(), { code: 'ERR_VM_BUSY' })
  library.reset()
  const aborted = faultOf(t, () => library.exports['give_up']!())
  t.is(aborted.name, 'SIGABRT')
  library.reset()
  t.is(library.exports['started']!(), '1 of none')
})

libraryTest('C++ has its containers, streams and constructors', ['c++'], (t, library) => {
  t.is(library.exports['constructed']!(), 7)
  t.is(library.exports['joined']!(4), '1=1 2=4 3=9 4=16 ')
})

libraryTest('a C++ exception stays within, or ends the call', ['c++'], (t, library, printed) => {
  t.is(library.exports['guarded']!(5), 5)
  t.is(library.exports['guarded']!(-1), -1)
  t.is(library.exports['unguarded']!(5), 5)
  t.is(faultOf(t, () => library.exports['unguarded']!(-1)).name, 'SIGABRT')
  t.regex(printed[2], /^terminate called after throwing an instance of 'std::out_of_range'/)
  library.reset()
  t.is(library.exports['guarded']!(-1), -1)
})

libraryTest('Rust has its collections, and catches its panics', ['rust'], (t, library, printed) => {
  const at = library.alloc(64)
  const length = Number(library.exports['joined']!(4, at, 64))
  t.is(Buffer.from(library.memory.read(at, length)).toString(), '1=1 2=4 3=9 4=16 ')
  t.is(library.exports['guarded']!(7), 7)
  t.is(library.exports['guarded']!(-7), -1)
  t.regex(printed[2], /panicked at .*:\nnegative\n/)
})

const all: NativeName[] = ['plain', ...libcs, 'c++', 'rust', 'rust-bare']
libraryTest('a stack holds megabytes, and ends', all, (t, library) => {
  t.is(typeof library.exports['deep']!(5000), 'number')
  const fault = faultOf(t, () => library.exports['deep']!(10 ** 7))
  t.is(fault.name, '#PF')
  // Below the stack, which ends at this address.
  const end = 0x7fff_0000_0000n
  const within = fault.address! > end - (9n << 20n) && fault.address! <= end - (7n << 20n)
  t.true(within, fault.address!.toString(16))
})

libraryTest('what a library must not write to is told by its address', all, (t, library) => {
  for (const address of [0, 8, 0xfea0_0000, 0xfe00_0000, 0x7fff_ffff_f000]) {
    const fault = faultOf(t, () => library.exports['poke']!(address, 1))
    t.is(fault.name, '#PF')
    t.is(fault.address, BigInt(address))
    t.true(fault.explain().findings.length > 0)
    library.reset()
  }
})
