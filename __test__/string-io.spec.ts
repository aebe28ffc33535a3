// `rep outs` and `rep ins`: every item counts, whatever answers.
import { type RunOptions, type Route, guests } from '../src/index.ts'
import { kvmTest, kvmTestBoth, runKinds } from './helpers/kvm.ts'
import { fromBytes, machine, pattern, toBytes } from './helpers/machine.ts'
import { affordable } from './helpers/speed.ts'

const sizes = [1, 2, 4] as const
const counts = [1, 2, 3, 300, affordable(5000)]
const everySizeAndCount = sizes.flatMap((size) => counts.map((count) => [size, count] as const))
const buffer = 0x1_0000
const guard = 16

/** A machine in front of one string instruction; bytes around the buffer are 0xee. */
function stringMachine(
  way: 'out' | 'in',
  size: number,
  count: number,
  route?: Route,
  port = 0x300,
) {
  const vm = machine(guests.stringIo, route ? [route] : [])
  const bytes = way === 'out' ? pattern(size * count) : new Uint8Array(size * count)
  vm.memory.writeUint32(0x500, (way === 'out' ? 0 : 3) + Math.log2(size))
  vm.memory.writeUint32(0x504, count)
  vm.memory.writeUint32(0x508, port)
  vm.memory.writeUint64(0x510, BigInt(buffer))
  vm.memory.write(buffer - guard, new Uint8Array(bytes.length + 2 * guard).fill(0xee))
  vm.memory.write(buffer, bytes)
  return vm
}

/** Buffer and surroundings after a `rep ins` that read `bytes`. */
function guarded(bytes: Uint8Array): Uint8Array {
  const around = new Uint8Array(bytes.length + 2 * guard).fill(0xee)
  around.set(bytes, guard)
  return around
}

/** Everything below asserts on `bytes`, the transferred items one after the other. */
for (const [size, count] of everySizeAndCount) {
  const bytes = pattern(size * count)
  const title = `${count} items of ${size} bytes`

  kvmTestBoth(`out, ${title}: console`, async (t, run) => {
    using vm = stringMachine('out', size, count, { port: 0x300, to: 'console' })
    const result = await run(vm)
    t.is(result.reason, 'hlt')
    t.true(Buffer.from(bytes).equals(result.output))
    t.is(vm.registers().rax, BigInt(bytes.length))
    t.deepEqual(vm.counters().routes, [{ reads: 0, writes: count }])
  })

  kvmTestBoth(`out, ${title}: device`, async (t, run) => {
    const got: number[] = []
    const calls = { count: 0, odd: 0 }
    const write = (offset: number, itemSize: number, value: number | bigint) => {
      calls.count++
      if (offset !== 5 || itemSize !== size || typeof value !== 'number') calls.odd++
      got.push(...toBytes(value, size))
    }
    using vm = stringMachine('out', size, count, { port: 0x2fb, length: 8, device: { write } })
    t.is((await run(vm)).reason, 'hlt')
    t.deepEqual(calls, { count, odd: 0 })
    t.true(Buffer.from(bytes).equals(Uint8Array.from(got)))
    t.deepEqual(vm.counters().routes, [{ reads: 0, writes: count }])
  })

  kvmTestBoth(`out, ${title}: onExit`, async (t, run) => {
    const got: Uint8Array[] = []
    let items = 0
    const onExit: RunOptions['onExit'] = (exit) => {
      if (exit.reason !== 'pio-out' || exit.port !== 0x300 || exit.size !== size) return false
      items += exit.count
      got.push(exit.data)
      if (exit.data.length !== size * exit.count) return false
      return exit.value === fromBytes(exit.data.subarray(0, size)) ? undefined : false
    }
    using vm = stringMachine('out', size, count)
    t.is((await run(vm, { onExit })).reason, 'hlt')
    t.is(items, count)
    t.true(Buffer.from(bytes).equals(Buffer.concat(got)))
  })

  kvmTestBoth(`in, ${title}: device`, async (t, run) => {
    const calls = { count: 0, odd: 0 }
    const read = (offset: number, itemSize: number) => {
      if (offset !== 5 || itemSize !== size) calls.odd++
      const start = calls.count++ * size
      return fromBytes(bytes.subarray(start, start + size))
    }
    using vm = stringMachine('in', size, count, { port: 0x2fb, length: 8, device: { read } })
    t.is((await run(vm)).reason, 'hlt')
    t.deepEqual(calls, { count, odd: 0 })
    const after = vm.memory.read(buffer - guard, bytes.length + 2 * guard)
    t.true(Buffer.from(guarded(bytes)).equals(after))
    t.is(vm.registers().rax, BigInt(bytes.length))
    t.deepEqual(vm.counters().routes, [{ reads: count, writes: 0 }])
  })

  kvmTestBoth(`in, ${title}: constant`, async (t, run) => {
    using vm = stringMachine('in', size, count, { port: 0x300, to: 'constant', value: 0x0403_0201 })
    t.is((await run(vm)).reason, 'hlt')
    const after = vm.memory.read(buffer - guard, bytes.length + 2 * guard)
    const same = bytes.map((_, index) => (index % size) + 1)
    t.true(Buffer.from(guarded(same)).equals(after))
    t.deepEqual(vm.counters().routes, [{ reads: count, writes: 0 }])
  })

  kvmTestBoth(`in, ${title}: onExit with bytes`, async (t, run) => {
    let at = 0
    const onExit: RunOptions['onExit'] = (exit) => {
      if (exit.reason !== 'pio-in' || exit.port !== 0x300 || exit.size !== size) return false
      const answer = bytes.subarray(at, at + size * exit.count)
      at += answer.length
      return answer
    }
    using vm = stringMachine('in', size, count)
    t.is((await run(vm, { onExit })).reason, 'hlt')
    t.is(at, bytes.length)
    const after = vm.memory.read(buffer - guard, bytes.length + 2 * guard)
    t.true(Buffer.from(guarded(bytes)).equals(after))
  })
}

kvmTestBoth('a single value answers every item of an unclaimed string read', async (t, run) => {
  for (const value of [0x1122, 0x1122n, -0xeeden]) {
    using vm = stringMachine('in', 2, 300)
    await run(vm, { onExit: () => value })
    const all = pattern(600).map((_, index) => (index % 2 === 0 ? 0x22 : 0x11))
    t.deepEqual(vm.memory.read(buffer - guard, 600 + 2 * guard), guarded(all))
  }
})

kvmTestBoth('unclaimed string reads can be answered with reply()', async (t, run) => {
  const bytes = pattern(1200)
  using vm = stringMachine('in', 4, 300)
  let result = await run(vm)
  let at = 0
  while (result.exit?.reason === 'pio-in') {
    const length = result.exit.size * result.exit.count
    vm.reply(bytes.subarray(at, at + length))
    at += length
    result = await run(vm)
  }
  t.is(result.reason, 'hlt')
  t.is(at, 1200)
  t.deepEqual(vm.memory.read(buffer, 1200), bytes)
})

kvmTest('zero items make no exit', async (t) => {
  using vm = stringMachine('out', 4, 0, { port: 0x300, to: 'console' })
  const result = await runKinds.runSync(vm)
  t.is(result.exits, 1)
  t.is(result.output.length, 0)
})

kvmTestBoth('a string write to a stop route ends the run with its first item', async (t, run) => {
  using vm = stringMachine('out', 2, 3, { port: 0x300, to: 'stop' })
  const codes: unknown[] = []
  let items = 0
  for (;;) {
    const { reason, exitCode, exit } = await run(vm)
    if (reason !== 'exit-port' || exit?.reason !== 'pio-out') break
    codes[items] = exitCode
    items += exit.count
  }
  // One exit may carry one item, or all of them.
  t.is(items, 3)
  t.is(codes[0], 0x0201)
  t.is(vm.registers().rax, 6n)
})
