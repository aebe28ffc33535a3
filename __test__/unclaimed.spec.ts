// Exits that no route claims: results with their full record, reply(), and onExit.
import {
  type AccessExit,
  type CpuMode,
  type Exit,
  type ExitAnswer,
  type RunOptions,
  guests,
} from '../src/index.ts'
import { native } from '../src/native/native.ts'
import { kvmTest, kvmTestBoth, runKinds } from './helpers/kvm.ts'
import { code, machine, vmError } from './helpers/machine.ts'

/** Reads port 0x60, adds 1 and writes the sum to port 0x61. */
const addOne = `
  e4 60 ; in $0x60,%al
  04 01 ; add $1,%al
  e6 61 ; out %al,$0x61
  f4    ; hlt
`

kvmTest('the exit loop of the walk-through', (t) => {
  using vm = machine(guests.hello)
  const text: number[] = []
  const records: Exit[] = []
  for (;;) {
    const result = vm.runSync({ timeoutMs: 300_000 })
    t.is(result.exits, 1)
    if (result.exit?.reason !== 'pio-out') break
    records.push(result.exit)
    text.push(...result.exit.data)
  }
  t.is(Buffer.from(text).toString(), 'Hello, world!\n')
  const data = new Uint8Array(Buffer.from('H'))
  const first = { reason: 'pio-out', port: 0xe9, size: 1, count: 1, value: 0x48, data } as const
  t.deepEqual(records[0], first)
  t.is(records.length, 14)
  t.is(vm.registers().rax, 42n)
  t.is(vm.memory.readUint64(0x400), 42n)
})

kvmTestBoth('a read that nobody claims is answered by reply()', async (t, run) => {
  for (const value of [0x41, 0x41n, new Uint8Array([0x41])]) {
    using vm = machine(addOne)
    const read = await run(vm)
    t.is(read.reason, 'pio-in')
    t.deepEqual(read.exit, { reason: 'pio-in', port: 0x60, size: 1, count: 1 })
    vm.reply(value)
    // The instruction is complete with the answer.
    t.is(vm.registers().rax, 0x41n)
    t.is(vm.registers().rip, 2n)

    const write = await run(vm)
    t.is(write.reason, 'pio-out')
    t.deepEqual(write.exit, {
      reason: 'pio-out',
      port: 0x61,
      size: 1,
      count: 1,
      value: 0x42,
      data: Uint8Array.of(0x42),
    })
    // A write needs no answer, and its instruction is complete.
    t.is(vm.registers().rip, 6n)
    t.is((await run(vm)).reason, 'hlt')
    t.is(vm.registers().rip, 7n)
  }
})

kvmTestBoth('the low bytes of a reply count', async (t, run) => {
  using vm = machine('66 e5 60 f4 ; in $0x60,%ax; hlt')
  await run(vm)
  vm.reply(0x1234_5678_9abc_def0n)
  await run(vm)
  t.is(vm.registers().rax, 0xdef0n)
})

kvmTestBoth('running on without the answer is an error, and nothing is lost', async (t, run) => {
  using vm = machine(addOne)
  await run(vm)
  for (const again of Object.values(runKinds)) {
    await t.throwsAsync(again(vm), vmError('ERR_UNANSWERED_READ', /pio-in.*reply/))
    t.false(vm.running)
  }
  vm.reply(6)
  t.like((await run(vm)).exit, { port: 0x61, value: 7 })
})

kvmTestBoth('a reply that nobody waits for is an error', async (t, run) => {
  using vm = machine(addOne)
  const expected = vmError('ERR_UNANSWERED_READ', /reply/)
  t.throws(() => vm.reply(1), expected)
  await run(vm)
  vm.reply(2)
  t.throws(() => vm.reply(3), expected)
  t.like((await run(vm)).exit, { port: 0x61, value: 3 })
  t.throws(() => vm.reply(4), expected)
  t.is((await run(vm)).reason, 'hlt')
  t.throws(() => vm.reply(5), expected)
})

const badReplies: [unknown, RegExp][] = [
  [undefined, /value must be .*got undefined/],
  [null, /value must be .*got null/],
  ['1', /value must be .*got "1"/],
  [-1, /value must be .*got -1/],
  [1.5, /value must be .*got 1\.5/],
  [Number.NaN, /value must be .*got NaN/],
  [Number.POSITIVE_INFINITY, /value must be .*got Infinity/],
  [2 ** 53, /value must be .*got 9007199254740992/],
  [2n ** 64n, /value must be .*got 18446744073709551616n/],
  [-1n, /value must be .*got -1n/],
  [[1], /value must be .*got an array of 1/],
  [{}, /value must be .*got an object \(Object\)/],
  [new Uint8Array(0), /reply needs 1 bytes.*got 0/],
  [new Uint8Array(2), /reply needs 1 bytes.*got 2/],
]

kvmTest('a bad reply says why, and the read still waits', async (t) => {
  using vm = machine(addOne)
  await runKinds.runSync(vm)
  for (const [value, message] of badReplies) {
    t.throws(() => vm.reply(value as never), vmError('ERR_INVALID_OPTION', message))
  }
  vm.reply(9)
  t.like((await runKinds.runSync(vm)).exit, { value: 10 })
})

kvmTestBoth('registers can be read while a read waits, but not set', async (t, run) => {
  using vm = machine(addOne)
  vm.setRegisters({ rbx: 77n })
  await run(vm)
  t.is(vm.registers().rbx, 77n)
  t.throws(() => vm.setRegisters({ rbx: 1n }), vmError('ERR_UNANSWERED_READ', /set registers/))
  t.throws(
    () => vm.setSpecialRegisters({ cr2: 1n }),
    vmError('ERR_UNANSWERED_READ', /set special registers/),
  )
  vm.reply(1)
  vm.setRegisters({ rax: 0x20n })
  t.like((await run(vm)).exit, { value: 0x21 })
  t.is(vm.registers().rbx, 77n)
})

kvmTestBoth('memory can be read and written while a read waits', async (t, run) => {
  using vm = machine(addOne)
  await run(vm)
  // The next instruction becomes `add $16,%al`.
  vm.memory.writeUint8(3, 16)
  vm.reply(1)
  t.like((await run(vm)).exit, { value: 17 })
})

kvmTestBoth('onExit gets every unclaimed access and nothing else', async (t, run) => {
  const seen: AccessExit[] = []
  using vm = machine(addOne, [{ port: 0x61, to: 'count' }])
  const result = await run(vm, {
    onExit(exit) {
      seen.push(exit)
      return 5
    },
  })
  t.is(result.reason, 'hlt')
  t.deepEqual(seen, [{ reason: 'pio-in', port: 0x60, size: 1, count: 1 }])
  t.is(vm.registers().rax, 6n)
  t.is(result.exits, 3)
})

const answers: [title: string, answer: unknown, al: bigint][] = [
  ['a number', 0x10, 0x11n],
  ['a number of which the low byte counts', 0x1_2310, 0x11n],
  ['a negative number', -1, 0x00n],
  ['a bigint', 0x20n, 0x21n],
  ['a negative bigint', -2n, 0xffn],
  ['bytes', new Uint8Array([0x30]), 0x31n],
  ['a Buffer', Buffer.from([0x40]), 0x41n],
]

kvmTestBoth('onExit answers a read', async (t, run) => {
  for (const [title, answer, al] of answers) {
    using vm = machine(addOne)
    const onExit = (exit: AccessExit) =>
      exit.reason === 'pio-in' ? (answer as ExitAnswer) : undefined
    t.is((await run(vm, { onExit })).reason, 'hlt', title)
    t.is(vm.registers().rax, al, title)
  }
})

kvmTestBoth('what onExit returns after a write does not matter, save false', async (t, run) => {
  for (const answer of [undefined, null, true, 'text', 7, {}, new Uint8Array(9)]) {
    using vm = machine('e6 61 f4 ; out %al,$0x61; hlt')
    t.is((await run(vm, { onExit: () => answer as ExitAnswer })).reason, 'hlt')
  }
})

kvmTestBoth('onExit ends the run with false', async (t, run) => {
  using vm = machine(addOne)
  const read = await run(vm, { onExit: () => false })
  t.deepEqual(read.exit, { reason: 'pio-in', port: 0x60, size: 1, count: 1 })
  t.throws(() => vm.setRegisters({ rax: 0n }), vmError('ERR_UNANSWERED_READ'))
  vm.reply(0x50)
  const write = await run(vm, { onExit: () => false })
  t.like(write, { reason: 'pio-out', exits: 1, exit: { value: 0x51 } })
  t.is((await run(vm)).reason, 'hlt')
})

const wrongAnswers: [unknown, RegExp][] = [
  [undefined, /^onExit must return .*got undefined$/],
  [null, /got null$/],
  [true, /got true$/],
  ['5', /got "5"$/],
  [1.5, /got 1\.5$/],
  [Number.NaN, /got NaN$/],
  [2 ** 60, /got 1152921504606847000$/],
  [2n ** 64n, /got 18446744073709551616n$/],
  [-(2n ** 63n) - 1n, /got -9223372036854775809n$/],
  [{}, /got an object \(Object\)$/],
  [() => 1, /got a function$/],
  [new Uint8Array(2), /^onExit must return 1 bytes \(size times count\), got 2$/],
  [new Uint8Array(0), /got 0$/],
]

kvmTestBoth('a wrong answer to a read is an error, and the read is asked again', async (t, run) => {
  for (const [answer, message] of wrongAnswers) {
    using vm = machine(addOne)
    const bad = run(vm, { onExit: () => answer as ExitAnswer })
    await t.throwsAsync(bad, vmError('ERR_HANDLER', message), String(message))
    const onExit: RunOptions['onExit'] = (exit) => (exit.reason === 'pio-in' ? 1 : undefined)
    t.is((await run(vm, { onExit })).reason, 'hlt')
    t.is(vm.registers().rax, 2n)
  }
})

kvmTestBoth('what onExit throws is the cause, and a write that it saw is done', async (t, run) => {
  const boom = new RangeError('boom')
  using vm = machine('e6 61 e6 62 f4 ; out %al,$0x61; out %al,$0x62; hlt')
  const failing = run(vm, {
    onExit() {
      throw boom
    },
  })
  const error = await t.throwsAsync(failing, vmError('ERR_HANDLER', /onExit failed: boom/))
  t.is(error?.cause, boom)
  t.like((await run(vm)).exit, { port: 0x62 })
})

kvmTest('under run() onExit may return a promise, under runSync() not', async (t) => {
  const onExit = async (exit: AccessExit) => (exit.reason === 'pio-in' ? 8 : undefined)
  using vm = machine(addOne)
  t.throws(
    () => vm.runSync({ onExit: onExit as never }),
    vmError('ERR_ASYNC_HANDLER', /onExit.*use run\(\)/),
  )
  t.is((await vm.run({ onExit, timeoutMs: 300_000 })).reason, 'hlt')
  t.is(vm.registers().rax, 9n)
})

kvmTestBoth('onExit is of one run, not of the next', async (t, run) => {
  using vm = machine(`${addOne} eb f7 ; jmp back to the start`)
  t.is((await run(vm, { onExit: () => 1 })).reason, 'hlt')
  t.is((await run(vm)).reason, 'pio-in')
})

/** Where each mode's guest faults: `ud2`, and in real mode what leads to the same. */
const faulting: CpuMode[] = ['real', 'protected', 'long']

for (const mode of faulting) {
  kvmTestBoth(`a triple fault in mode '${mode}' is a result`, async (t, run) => {
    using vm = machine(guests.tripleFault, [], { mode })
    const result = await run(vm)
    t.is(result.reason, 'shutdown')
    const registersKept = native.hostBackend() !== 'kvm_amd'
    t.deepEqual(result.exit, { reason: 'shutdown', vector: 6, registersKept })
    t.is(result.exitCode, undefined)
    t.is(vm.counters().exits.shutdown, 1)
  })
}

kvmTestBoth('a fault in ring 3 is a result too', async (t, run) => {
  // `hlt` needs CPL 0, and there is no handler for the fault.
  using vm = machine('f4 ; hlt', [], { privilege: 'user' })
  t.like(await run(vm), { reason: 'fault', fault: { name: '#GP', errorCode: 0, rip: 0n } })
})

kvmTest("an exit's bytes belong to the caller", async (t) => {
  using vm = machine('e6 61 e6 61 f4 ; out %al,$0x61, twice; hlt')
  const first = await runKinds.runSync(vm)
  const image = code('e6 61')
  vm.setRegisters({ rax: 9n })
  const second = await runKinds.runSync(vm)
  t.like(first.exit, { value: 0, data: Uint8Array.of(0) })
  t.like(second.exit, { value: 9, data: Uint8Array.of(9) })
  t.deepEqual(vm.memory.read(0, 2), image)
})
