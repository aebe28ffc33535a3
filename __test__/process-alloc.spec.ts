// `alloc` and `free`: blocks never overlap, and what is given back is there again.
import test from 'ava'

import { VmError } from '../src/index.ts'
import { Heap } from '../src/process/heap.ts'
import { randomBelow } from './helpers/random.ts'

const START = 0x6000_0000_0000

/** Memory that is given out page by page, up to a limit. */
function area(limit: number) {
  let used = 0
  const map = (bytes: number): bigint => {
    if (used + bytes > limit) throw new VmError('ERR_LIMIT', 'no more memory')
    const at = START + used
    used += bytes
    return BigInt(at)
  }
  return { map, used: () => used, restart: () => (used = 64 * 1024) }
}

test('blocks are aligned, lie within what was mapped, and never overlap', (t) => {
  const memory = area(64 << 20)
  const heap = new Heap(memory)
  const below = randomBelow(0x1234_5678)
  const blocks = new Map<number, number>()
  for (let round = 0; round < 20_000; round += 1) {
    if (blocks.size > 0 && below(100) < 49) {
      const at = [...blocks.keys()][below(blocks.size)]!
      heap.free(at)
      blocks.delete(at)
    } else if (blocks.size < 300) {
      const bytes = below(10) === 0 ? below(300_000) : below(500)
      const at = heap.alloc(bytes)
      if (at % 16 !== 0 || at < START || at + bytes > START + memory.used())
        return t.fail(`${bytes} bytes at ${at}`)
      blocks.set(at, bytes)
    }
  }
  const sorted = [...blocks].toSorted(([a], [b]) => a - b)
  const overlaps = sorted.filter(
    ([at, bytes], index) => at + bytes > (sorted[index + 1]?.[0] ?? Infinity),
  )
  t.deepEqual(overlaps, [])
  // What is free joins: all of it fits at once, at the beginning.
  for (const [at] of blocks) heap.free(at)
  t.is(heap.alloc(memory.used()), START)
})

test('the first range that fits is taken', (t) => {
  const heap = new Heap(area(1 << 20))
  const [first, second, third] = [heap.alloc(32), heap.alloc(64), heap.alloc(32)]
  heap.free(second)
  heap.free(first)
  t.is(heap.alloc(96), first)
  t.is(heap.alloc(16), third + 32)
})

test('no bytes still are a block of their own', (t) => {
  const heap = new Heap(area(1 << 20))
  const [first, second] = [heap.alloc(0), heap.alloc(0)]
  t.not(first, second)
  heap.free(first)
  heap.free(second)
})

test('memory is used to the last page', (t) => {
  const heap = new Heap(area(128 * 1024 - 4096))
  heap.alloc(64 * 1024)
  heap.alloc(60 * 1024)
  t.throws(() => heap.alloc(1), { instanceOf: VmError, message: 'no more memory' })
})

test('what was not allocated, or is free already, cannot be freed', (t) => {
  const heap = new Heap(area(1 << 20))
  const at = heap.alloc(16)
  heap.free(at)
  for (const wrong of [at, at + 8, 0, -1, 1.5, Number.NaN, '5', BigInt(at), undefined]) {
    const error = t.throws(() => heap.free(wrong as number), { instanceOf: VmError })
    t.is((error as VmError).code, 'ERR_INVALID_OPTION')
  }
})

test('a wrong number of bytes is refused', (t) => {
  const heap = new Heap(area(1 << 20))
  for (const wrong of [-1, 1.5, Number.NaN, 2 ** 53, 16n, '16']) {
    const error = t.throws(() => heap.alloc(wrong as number), { instanceOf: VmError })
    t.is((error as VmError).code, 'ERR_INVALID_OPTION')
  }
})

test('after a reset memory is used to the last page, too', (t) => {
  const memory = area(128 * 1024)
  const heap = new Heap(memory)
  t.is(heap.alloc(128 * 1024), START)
  heap.clear()
  memory.restart()
  t.is(heap.alloc(128 * 1024), START)
})

test('after a reset everything is free, and maps again', (t) => {
  const memory = area(1 << 20)
  const heap = new Heap(memory)
  const first = heap.alloc(500_000)
  heap.clear()
  memory.restart()
  t.throws(() => heap.free(first), { message: /must be one that alloc gave/ })
  t.is(heap.alloc(500_000), first)
})
