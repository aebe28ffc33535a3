// Runs that would never end by themselves, and all that ends them from outside.
import { getEventListeners } from 'node:events'
import { setImmediate as turn, setTimeout as sleep } from 'node:timers/promises'

import { type Device, type RunOptions, type VirtualMachine, guests } from '../src/index.ts'
import { serialTest, serialTestBoth } from './fixtures/serial.ts'
import { until } from './fixtures/until.ts'
import { machine } from './helpers/machine.ts'
import { randomNumbers } from './helpers/random.ts'
import { affordable } from './helpers/speed.ts'

/** Only Rust answers, so there is an exit every few microseconds. */
const poll = `
  e4 10 ; 1: in $0x10,%al
  eb fc ; jmp 1b
`

/** Writes 0 to N - 1 to port 0x200, four bytes each. */
function numbered(count: number, write: NonNullable<Device['write']>): VirtualMachine {
  const vm = machine(guests.numbered, [{ port: 0x200, length: 4, device: { write } }])
  vm.memory.writeUint32(0x500, count)
  return vm
}

const rejection = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    (value) => ({ resolved: value }),
    (error: unknown) => error,
  )

const upTo = (count: number): number[] => Array.from({ length: count }, (_, index) => index)

serialTestBoth('timeoutMs ends a spinning guest, again and again', async (t, run) => {
  for (const privilege of ['kernel', 'user'] as const) {
    using vm = machine(guests.spin, [], { privilege })
    for (const timeoutMs of [60, 1, 0.25]) {
      const begin = performance.now()
      const result = await run(vm, { timeoutMs })
      t.is(result.reason, 'timeout')
      t.is(result.exit, null)
      t.is(result.exitCode, undefined)
      t.is(result.exits, 0)
      t.true(result.durationMs >= timeoutMs * 0.99, `${result.durationMs} ms of ${timeoutMs}`)
      t.true(result.durationMs <= performance.now() - begin)
      t.false(vm.running)
      t.is(vm.registers().rip, 0n)
    }
  }
})

serialTestBoth('timeoutMs 0 ends every run', async (t, run) => {
  using vm = machine(guests.spin)
  for (let index = 0; index < 100; index++) {
    t.is((await run(vm, { timeoutMs: 0 })).reason, 'timeout')
  }
})

serialTestBoth('timeoutMs ends a guest whose exits Rust answers', async (t, run) => {
  using vm = machine(poll, [{ port: 0x10, to: 'constant', value: 1 }])
  let exits = 0
  // On a busy host the guest may not be entered in that time.
  const runOnce = async (): Promise<void> => {
    const result = await run(vm, { timeoutMs: 50 })
    t.is(result.reason, 'timeout')
    exits += result.exits
    t.is(vm.counters().routes[0]?.reads, exits)
  }
  t.true(await until(() => exits > 0, undefined, runOnce))
})

serialTestBoth('timeoutMs ends a guest whose exits a device answers', async (t, run) => {
  let reads = 0
  using vm = machine(poll, [{ port: 0x10, device: { read: () => ++reads & 0xff } }])
  // Under run() the first question may come too late on a busy host.
  const runOnce = async (): Promise<unknown> =>
    t.is((await run(vm, { timeoutMs: 50 })).reason, 'timeout')
  t.true(await until(() => reads > 0, undefined, runOnce))
})

serialTestBoth('a time-out belongs to its run, not to the next one', async (t, run) => {
  const listing = `
    f4    ; hlt
    eb fe ; jmp .
  `
  using vm = machine(listing)
  let timeoutMs = 150
  // On a busy host the guest may not halt in that time.
  while ((await run(vm, { timeoutMs })).reason === 'timeout' && timeoutMs < 60_000) timeoutMs *= 2
  t.is(vm.registers().rip, 1n)
  const longMs = timeoutMs + 250
  const next = await run(vm, { timeoutMs: longMs })
  t.is(next.reason, 'timeout')
  t.true(next.durationMs >= longMs - 1, `${next.durationMs} ms of ${longMs}`)
})

serialTest('stop() from the event loop, at once and later', async (t) => {
  using vm = machine(guests.spin)
  for (const delayMs of [undefined, 0, 30]) {
    const run = vm.run({ timeoutMs: 300_000 })
    t.true(vm.running)
    if (delayMs !== undefined) await sleep(delayMs)
    vm.stop()
    vm.stop()
    const result = await run
    t.is(result.reason, 'stopped')
    t.is(result.exit, null)
    t.false(vm.running)
  }
})

serialTestBoth(
  'stop() without a run does nothing, and is not kept for the next',
  async (t, run) => {
    using vm = machine(guests.hello, [{ port: 0xe9, to: 'discard' }])
    vm.stop()
    t.is((await run(vm)).reason, 'hlt')
    vm.stop()
    t.is(vm.registers().rax, 42n)
  },
)

serialTestBoth('stop() from a write handler loses and repeats nothing', async (t, run) => {
  const count = 60
  const written: unknown[] = []
  const holder: { vm?: VirtualMachine } = {}
  using vm = numbered(count, (_offset, _size, value) => {
    written.push(value)
    if (written.length % 7 === 0) holder.vm?.stop()
  })
  holder.vm = vm
  const reasons: string[] = []
  do reasons.push((await run(vm)).reason)
  while (reasons.at(-1) === 'stopped')
  t.deepEqual(reasons, [...Array<string>(8).fill('stopped'), 'hlt'])
  t.deepEqual(written, upTo(count))
  t.is(vm.counters().routes[0]?.writes, count)
  t.is(vm.registers().rax, BigInt(count))
})

serialTestBoth('stop() from a read handler: the value it returns counts', async (t, run) => {
  let next = 0
  const answers: unknown[] = []
  const holder: { vm?: VirtualMachine } = {}
  using vm = machine(guests.ask, [
    {
      port: 0x61,
      device: {
        read() {
          holder.vm?.stop()
          return next < 5 ? next++ : 0xffff_ffff
        },
      },
    },
    { port: 0x62, device: { write: (_offset, _size, value) => answers.push(value) } },
  ])
  holder.vm = vm
  for (let index = 0; index < 6; index++) t.is((await run(vm)).reason, 'stopped')
  t.is((await run(vm)).reason, 'hlt')
  t.deepEqual(answers, [1, 2, 3, 4, 5])
  t.is(vm.registers().rax, 5n)
})

serialTestBoth('stop() from onExit', async (t, run) => {
  const listing = `
    e4 20 ; in $0x20,%al
    e6 21 ; out %al,$0x21
    f4    ; hlt
  `
  using vm = machine(listing)
  const asked: string[] = []
  const onExit: NonNullable<RunOptions['onExit']> = (exit) => {
    asked.push(exit.reason)
    vm.stop()
    return 0x5a
  }
  t.is((await run(vm, { onExit })).reason, 'stopped')
  t.is(vm.registers().rax, 0x5an)
  t.is((await run(vm, { onExit })).reason, 'stopped')
  t.is((await run(vm, { onExit })).reason, 'hlt')
  t.deepEqual(asked, ['pio-in', 'pio-out'])
})

serialTestBoth('stop() from onData, while the guest spins after its text', async (t, run) => {
  const listing = `
    b0 41 ; mov $0x41,%al
    e6 e9 ; out %al,$0xe9
    eb fe ; jmp .
  `
  const texts: string[] = []
  const holder: { vm?: VirtualMachine } = {}
  const onData = (bytes: Uint8Array): void => {
    texts.push(Buffer.from(bytes).toString())
    holder.vm?.stop()
  }
  using vm = machine(listing, [{ port: 0xe9, to: 'console', onData }])
  holder.vm = vm
  t.is((await run(vm)).reason, 'stopped')
  t.deepEqual(texts, ['A'])
})

serialTest('stop() from a handler that returns a promise', async (t) => {
  const written: unknown[] = []
  const holder: { vm?: VirtualMachine } = {}
  using vm = numbered(5, async (_offset, _size, value) => {
    written.push(value)
    if (value === 2) holder.vm?.stop()
    await turn()
  })
  holder.vm = vm
  t.is((await vm.run()).reason, 'stopped')
  t.deepEqual(written, [0, 1, 2])
  t.is((await vm.run()).reason, 'hlt')
  t.deepEqual(written, upTo(5))
})

serialTest('an aborted signal rejects with its reason and leaves the machine usable', async (t) => {
  using vm = machine(guests.spin)
  const reason = { because: 'of this' }
  for (const delayMs of [0, 30]) {
    const controller = new AbortController()
    const run = vm.run({ signal: controller.signal, timeoutMs: 300_000 })
    t.is(getEventListeners(controller.signal, 'abort').length, 1)
    setTimeout(() => controller.abort(reason), delayMs)
    t.is(await rejection(run), reason)
    t.false(vm.running)
    t.is(getEventListeners(controller.signal, 'abort').length, 0)
  }
  const controller = new AbortController()
  const run = vm.run({ signal: controller.signal })
  controller.abort()
  t.is(await rejection(run), controller.signal.reason)
  t.is(controller.signal.reason.name, 'AbortError')
  t.is((await vm.run({ timeoutMs: 1 })).reason, 'timeout')
  t.is(vm.registers().rip, 0n)
})

serialTest('a signal that is aborted already: the guest is not entered', async (t) => {
  using vm = machine(guests.hello, [{ port: 0xe9, to: 'console' }])
  const reason = new Error('too late')
  t.is(await rejection(vm.run({ signal: AbortSignal.abort(reason) })), reason)
  t.false(vm.running)
  t.is(vm.registers().rip, 0n)
  t.is(vm.counters().exits['pio-out'], 0)
  t.is((await vm.run()).outputText, 'Hello, world!\n')
})

serialTest('AbortSignal.timeout', async (t) => {
  using vm = machine(guests.spin)
  const signal = AbortSignal.timeout(40)
  t.is(await rejection(vm.run({ signal })), signal.reason)
  t.is(signal.reason.name, 'TimeoutError')
  t.is((await vm.run({ timeoutMs: 1 })).reason, 'timeout')
})

serialTest('a signal that is aborted by a handler, and one that is aborted too late', async (t) => {
  const controller = new AbortController()
  const { signal } = controller
  const written: unknown[] = []
  using vm = numbered(6, (_offset, _size, value) => {
    written.push(value)
    if (value === 3) controller.abort('enough')
  })
  t.is(await rejection(vm.run({ signal })), 'enough')
  t.deepEqual(written, upTo(4))
  const second = new AbortController()
  t.is((await vm.run({ signal: second.signal })).reason, 'hlt')
  second.abort()
  t.deepEqual(written, upTo(6))
})

/** Passes some time: none, a fraction of a run's start, or turns of the event loop. */
async function dither(random: () => number): Promise<void> {
  const kind = random()
  if (kind < 0.25) return
  if (kind < 0.5) return turn()
  const end = performance.now() + random() * (kind < 0.9 ? 0.1 : 1)
  if (kind >= 0.75) await turn()
  while (performance.now() < end);
}

serialTest('stops at random moments, ten thousand: none is lost', async (t) => {
  const [machines, runs] = [5, affordable(2000)]
  const reasons: Record<string, number> = {}
  const begin = performance.now()
  const stopOften = async (seed: number): Promise<void> => {
    using vm = machine(guests.spin)
    const random = randomNumbers(seed)
    for (let index = 0; index < runs; index++) {
      // A lost stop would leave the run to the time-out.
      const run = vm.run({ timeoutMs: 300_000 })
      await dither(random)
      vm.stop()
      const { reason } = await run
      reasons[reason] = (reasons[reason] ?? 0) + 1
    }
  }
  await Promise.all(Array.from({ length: machines }, (_, index) => stopOften(index + 1)))
  t.log(`${((performance.now() - begin) / (machines * runs)).toFixed(3)} ms per run and stop`)
  t.deepEqual(reasons, { stopped: machines * runs })
})

serialTest('time-outs at random moments under runSync, a thousand: none is lost', (t) => {
  using vm = machine(guests.spin)
  const random = randomNumbers(7)
  for (let index = 0; index < affordable(1000); index++) {
    // One that is lost would leave the run to whatever ends this test.
    const { reason } = vm.runSync({ timeoutMs: random() * 0.5 })
    if (reason !== 'timeout') t.fail(`run ${index}: ${reason}`)
  }
  t.pass()
})
