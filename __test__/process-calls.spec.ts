// Functions of native libraries, called from here: what they are given, what comes back.
import test from 'ava'

import { instantiate } from '../src/process/index.ts'
import { imageTest, libraryTest, unasked } from './helpers/library.ts'
import { nativeLibrary } from './helpers/native.ts'

const plain = () => nativeLibrary('plain')

libraryTest('what an image declares is there by itself', 'plain', (t, lib) => {
  t.is(lib.exports.add(40, 2), 42)
  t.is(lib.exports.multiply(-3n, 1n << 40n), -3n << 40n)
  t.is(lib.exports.shift(2n ** 64n - 1n, 60), 15n)
  t.is(lib.exports.rotate(0x8000_0001, 4), 0x18)
  t.is(lib.exports.over(1, 3), 1 / 3)
  t.is(lib.exports.overf(1, 3), Math.fround(1 / 3))
  t.is(lib.exports.length('grün'), 5)
  t.is(lib.exports.digit(7), '7')
  t.is(lib.exports.unknown, undefined)
  t.is(lib.exports.add.name, 'add')
})

libraryTest('more arguments than there are registers go over the stack', 'plain', (t, lib) => {
  const args = [1, 2, 3n, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17]
  const sum = args.reduce<number>((all, each, index) => all + Number(each) * (index + 1), 0)
  t.is(lib.exports.many(...args), sum)
  // The words below are those of no earlier call.
  t.is(lib.exports.many(...args.map((each) => (typeof each === 'bigint' ? 0n : 0))), 0)
})

imageTest(
  'exports may be chosen, and variadic functions named as they are called',
  plain,
  async (t, image) => {
    using lib = await instantiate(image, {
      exports: {
        add: 'int(int, int)',
        total: 'i32(i32, i32, f64, i32, f64)',
        sum: 'f64(ptr, usize)',
      },
      imports: unasked,
    })
    t.deepEqual(Object.keys(lib.exports), ['add', 'total', 'sum'])
    t.is(lib.exports.total(2, 3, 0.5, 5, 4), 21)
    t.is(Object.getPrototypeOf(lib.exports), null)
    t.throws(() => Object.assign(lib.exports, { add: 1 }), { name: 'TypeError' })
  },
)

imageTest('a function that no record names is found by its symbol', plain, async (t, image) => {
  using lib = await instantiate(image, {
    exports: { memset: 'ptr(ptr, i32, usize)' },
    imports: unasked,
  })
  const at = lib.alloc(8)
  t.is(lib.exports.memset(at, 7, 3), at)
  t.deepEqual([...lib.memory.read(at, 3)], [7, 7, 7])
})

libraryTest(
  'strings go in and are gone after the call, however many and long',
  'plain',
  (t, lib) => {
    for (const bytes of [0, 1, 4095, 4096, 16_383, 16_384, 1 << 20, 5_000_000])
      t.is(lib.exports.length('x'.repeat(bytes)), bytes)
    t.is(lib.exports.length(Buffer.from('bytes')), 5)
    // Memory would not have room for all of them.
    for (let round = 0; round < 40; round += 1) lib.exports.length('x'.repeat(4 << 20))
    t.throws(() => lib.exports.length('x'.repeat(100 << 20)), { code: 'ERR_LIMIT' })
    t.is(lib.exports.length('still there'), 11)
  },
)

libraryTest('structures go by pointer', 'plain', (t, lib) => {
  const at = lib.alloc(32)
  const bytes = new DataView(new ArrayBuffer(32))
  for (const offset of [0, 16]) {
    bytes.setFloat64(offset, 1.25 + offset, true)
    bytes.setFloat32(offset + 8, 0.5, true)
    bytes.setInt32(offset + 12, -1, true)
  }
  lib.memory.write(at, new Uint8Array(bytes.buffer))
  lib.exports.scale(at, 2, 4)
  const after = lib.memory.read(at, 32)
  const view = new DataView(after.buffer, after.byteOffset)
  t.deepEqual([view.getFloat64(0, true), view.getFloat64(16, true)], [5, 69])
  t.deepEqual([view.getFloat32(8, true), view.getInt32(12, true)], [2, 0])
})

libraryTest('wrong arguments are refused and touch nothing', 'plain', (t, lib) => {
  t.is(lib.exports.next(), 1)
  t.throws(() => lib.exports.next(1), { name: 'TypeError', message: /^next takes no arguments/ })
  t.throws(() => lib.exports.add(1), { name: 'TypeError', message: 'add takes 2 arguments, got 1' })
  t.throws(() => lib.exports.add(1, '2'), {
    name: 'TypeError',
    message: /^add: argument 2 must be/,
  })
  t.throws(() => lib.exports.add(2 ** 31, 2), {
    name: 'RangeError',
    message: /^add: argument 1 must/,
  })
  t.is(lib.exports.next(), 2)
})

libraryTest('the same functions return promises', 'plain', async (t, lib) => {
  t.is(await lib.async.add(40, 2), 42)
  await t.throwsAsync(lib.async.add(1, '2'), { name: 'TypeError', message: /argument 2/ })
  t.is(await lib.async.length('x'.repeat(100_000)), 100_000)
  t.is(lib.exports.add(1, 2), 3)
})

libraryTest('one call at a time', 'plain', async (t, lib) => {
  const first = lib.async.add(1, 2)
  const busy = { code: 'ERR_VM_BUSY', message: / during add: a library does one thing at a time$/ }
  await t.throwsAsync(lib.async.add(3, 4), busy)
  t.throws(() => lib.exports.add(3, 4), busy)
  t.throws(() => lib.reset(), busy)
  t.is(await first, 3)
  t.is(lib.exports.add(3, 4), 7)
})

libraryTest('reset goes back to the start', 'plain', (t, lib) => {
  const at = lib.alloc(16)
  lib.memory.writeUint32(at, 5)
  t.deepEqual([lib.exports.next(), lib.exports.next()], [1, 2])
  for (let round = 0; round < 3; round += 1) {
    lib.reset()
    t.is(lib.exports.next(), 1)
    t.throws(() => lib.free(at), { code: 'ERR_INVALID_OPTION' })
    t.is(lib.alloc(16), at)
    t.is(lib.memory.readUint32(at), 0)
    // More than was mapped at the start.
    const large = lib.alloc(1 << 20)
    lib.memory.writeUint8(large + (1 << 20) - 1, 1)
    t.is(lib.exports.length('x'.repeat(20_000)), 20_000)
  }
})

libraryTest(
  'a closed library refuses everything, and close() may come twice',
  'plain',
  async (t, lib) => {
    const at = lib.alloc(8)
    t.false(lib.closed)
    lib.close()
    lib.close()
    t.true(lib.closed)
    const closed = { code: 'ERR_VM_CLOSED' }
    t.throws(() => lib.exports.add(1, 2), closed)
    t.throws(() => lib.exports.length('text'), closed)
    await t.throwsAsync(lib.async.add(1, 2), closed)
    t.throws(() => lib.memory.read(at, 1), closed)
    t.throws(() => lib.memory.writeUint8(at, 1), closed)
    t.throws(() => lib.reset(), closed)
    t.throws(() => lib.alloc(1 << 20), closed)
  },
)

imageTest('using and await using close', plain, async (t, image) => {
  const lib = await instantiate(image, { imports: unasked })
  const other = await instantiate(image, { imports: unasked })
  {
    using first = lib
    await using second = other
    t.false(first.closed || second.closed)
  }
  t.true(lib.closed && other.closed)
})

imageTest('several libraries do not know of each other', plain, async (t, image) => {
  const make = () => instantiate(image, { imports: unasked, memoryBytes: 16 << 20 })
  const libs = await Promise.all(Array.from({ length: 8 }, make))
  const counts = libs.map(({ exports }, index) => {
    for (let round = 0; round < index; round += 1) exports.next()
    return exports.next()
  })
  t.deepEqual(counts, [1, 2, 3, 4, 5, 6, 7, 8])
  const sums = await Promise.all(libs.map((lib, index) => lib.async.add(index, 1)))
  t.deepEqual(sums, [1, 2, 3, 4, 5, 6, 7, 8])
  for (const lib of libs) lib.close()
})

test('what is no image is refused', async (t) => {
  for (const image of [undefined, 'lib.elf', new ArrayBuffer(8), new Uint16Array(4)])
    await t.throwsAsync(instantiate(image as never), { code: 'ERR_INVALID_OPTION' })
})
