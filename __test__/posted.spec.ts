// Posted writes: every one arrives once, in order, whatever the consumer does. The guest `numbered`
// writes 0, 1, 2, … to port 0x200, four bytes each, as many as the word at 0x500 says.
import { setTimeout as sleep } from 'node:timers/promises'

import test, { type ExecutionContext } from 'ava'
import {
  type AccessExit,
  type WriteBatch,
  type Route,
  type VirtualMachine,
  guests,
} from '../src/index.ts'
import { until } from './fixtures/until.ts'
import { type Run, kvmTest, runKinds } from './helpers/kvm.ts'
import { code, machine, vmError } from './helpers/machine.ts'
import { affordable } from './helpers/speed.ts'

type Body = (t: ExecutionContext, run: Run) => void | Promise<void>

/** One test after the other: a long `runSync` would use up the time of those beside it. */
function along(title: string, body: (t: ExecutionContext) => void | Promise<void>): void {
  kvmTest(title, body, test.serial)
}

function alongBoth(title: string, body: Body): void {
  for (const [kind, run] of Object.entries(runKinds))
    along(`${title} (${kind})`, (t) => body(t, run))
}

/** How many events, more than one ring holds; VMEXIT_SOAK=1 makes it the full size. */
const many = process.env['VMEXIT_SOAK'] === '1' ? 1_000_000 : Math.max(affordable(20_000), 12_288)
const kinds = ['queue', 'coalesce'] as const

/** Collects numbers and fails at the first that is not the next. */
class Sequence {
  next = 0

  take(batch: WriteBatch): void {
    for (let index = 0; index < batch.length; index++) {
      if (batch.values[index] !== BigInt(this.next) || batch.sizes[index] !== 4) {
        throw new Error(`${batch.values[index]} behind ${this.next - 1}`)
      }
      this.next++
    }
  }
}

function numbered(count: number, route: Route): VirtualMachine {
  const vm = machine(guests.numbered, [route])
  vm.memory.writeUint32(0x500, count)
  return vm
}

const at = { port: 0x200, length: 4 }

for (const to of kinds) {
  alongBoth(`${to}: all numbers arrive in order`, async (t, run) => {
    const sequence = new Sequence()
    using vm = numbered(many, { ...at, to, onBatch: (batch) => sequence.take(batch) })
    const result = await run(vm, { timeoutMs: 600_000 })
    t.deepEqual([result.reason, sequence.next], ['hlt', many])
    t.is(vm.counters().routes[0]?.writes, many)
    if (to === 'coalesce') t.true(result.exits < many / 20, `${result.exits}`)
  })

  along(`${to}: a slow consumer makes the vCPU wait, and the waits are counted`, async (t) => {
    const sequence = new Sequence()
    let isAtWork = false
    const onBatch = async (batch: WriteBatch) => {
      if (isAtWork) throw new Error('called while at work')
      isAtWork = true
      // As slow as it takes to fill the ring, or to see the guest's last write.
      const { ringWaits } = vm.counters()
      while (vm.counters().ringWaits === ringWaits && written() < many) await sleep(1)
      sequence.take(batch)
      isAtWork = false
    }
    using vm = numbered(many, { ...at, to, onBatch })
    const written = () => vm.counters().routes[0]!.writes
    const result = await vm.run({ timeoutMs: 600_000 })
    t.deepEqual([result.reason, sequence.next], ['hlt', many])
    t.true(vm.counters().ringWaits > 0)
  })

  alongBoth(`${to}: a consumer that throws ends the run and loses nothing`, async (t, run) => {
    const sequence = new Sequence()
    const thrown = new Error('enough')
    let isFirst = true
    const onBatch = (batch: WriteBatch) => {
      sequence.take(batch)
      if (isFirst && sequence.next > 1000) {
        isFirst = false
        throw thrown
      }
    }
    using vm = numbered(many, { ...at, to, onBatch })
    const error = await t.throwsAsync(
      async () => run(vm, { timeoutMs: 600_000 }),
      vmError('ERR_HANDLER', /onBatch of routes\[0\]/),
    )
    t.is(error?.cause, thrown)
    t.true(sequence.next > 1000 && sequence.next < many)
    t.is((await run(vm, { timeoutMs: 600_000 })).reason, 'hlt')
    t.is(sequence.next, many)
  })

  along(`${to}: stop() in mid-burst, and the next run goes on`, async (t) => {
    const sequence = new Sequence()
    using vm = numbered(many, {
      ...at,
      to,
      onBatch: (batch) => {
        sequence.take(batch)
        if (sequence.next < many / 2) vm.stop()
      },
    })
    let runs = 0
    for (;;) {
      runs++
      const { reason } = await vm.run({ timeoutMs: 600_000 })
      if (reason === 'hlt') break
      t.is(reason, 'stopped')
    }
    t.is(sequence.next, many)
    t.true(runs > 1)
  })

  along(
    `${to}: a machine that is closed in mid-burst delivers what was written, and then nothing`,
    async (t) => {
      const sequence = new Sequence()
      const vm = numbered(0xffff_ffff, { ...at, to, onBatch: (batch) => sequence.take(batch) })
      const run = vm.run()
      while (sequence.next < 5000) await sleep(1)
      vm.close()
      const { next } = sequence
      t.is(vm.counters().routes[0]?.writes, next)
      await t.throwsAsync(run, vmError('ERR_VM_CLOSED'))
      await sleep(50)
      t.is(sequence.next, next)
    },
  )

  along(`${to}: what a spinning guest wrote arrives while it spins`, async (t) => {
    // b0 07  mov $7,%al · e6 40  out %al,$0x40 · eb fe  jmp .
    let arrived: (batch: WriteBatch) => void = () => undefined
    const first = new Promise<WriteBatch>((resolve) => (arrived = resolve))
    using vm = machine('b0 07 e6 40 eb fe ;', [
      { port: 0x40, to, onBatch: (batch) => arrived(batch) },
    ])
    // `then` holds the event loop, which waiting for the batch alone does not.
    const run = vm.run({ timeoutMs: 300_000 }).then((result) => result)
    t.deepEqual([...(await first)], [{ offset: 0, size: 1, value: 7 }])
    vm.stop()
    t.is((await run).reason, 'stopped')
  })

  along(`${to}: a promise under runSync is refused`, (t) => {
    using vm = numbered(10, { ...at, to, onBatch: async () => undefined })
    t.throws(() => vm.runSync(), vmError('ERR_ASYNC_HANDLER', /onBatch of routes\[0\]/))
  })

  alongBoth(
    `${to}: a promise that a run left open holds up no batch of the next`,
    async (t, run) => {
      const sequence = new Sequence()
      let isFirst = true
      const onBatch = (batch: WriteBatch) => {
        sequence.take(batch)
        if (!isFirst) return undefined
        isFirst = false
        return new Promise(() => undefined)
      }
      using vm = numbered(many, { ...at, to, onBatch })
      // On a busy host the guest may write nothing in that time.
      const runOnce = async (): Promise<unknown> =>
        t.is((await vm.run({ timeoutMs: 100 })).reason, 'timeout')
      t.true(await until(() => !isFirst, undefined, runOnce))
      t.is((await run(vm, { timeoutMs: 600_000 })).reason, 'hlt')
      t.is(sequence.next, many)
    },
  )

  along(`${to}: a consumer that never settles ends with the time-out`, async (t) => {
    using vm = numbered(100_000, { ...at, to, onBatch: () => new Promise(() => undefined) })
    t.is((await vm.run({ timeoutMs: 200 })).reason, 'timeout')
  })
}

alongBoth('a batch keeps offsets, sizes and 8-byte values', async (t, run) => {
  const listing = `
    bb 00 00 00 d0                ; mov $0xd0000000,%ebx
    48 b8 88 77 66 55 44 33 22 11 ; mov $0x1122334455667788,%rax
    88 03                         ; mov %al,(%rbx)
    66 89 43 02                   ; mov %ax,2(%rbx)
    48 89 43 08                   ; mov %rax,8(%rbx)
    f4                            ; hlt
  `
  for (const to of kinds) {
    const records: unknown[] = []
    const onBatch = (batch: WriteBatch) => records.push(...batch)
    using vm = machine(listing, [{ gpa: 0xd000_0000, length: 0x10, to, onBatch }])
    await run(vm)
    t.deepEqual(records, [
      { offset: 0, size: 1, value: 0x88 },
      { offset: 2, size: 2, value: 0x7788 },
      { offset: 8, size: 8, value: 0x1122_3344_5566_7788n },
    ])
  }
})

alongBoth('reads of a posted route give its value, or are not claimed', async (t, run) => {
  // e4 40  in $0x40,%al · f4  hlt
  for (const to of kinds) {
    const onBatch = () => undefined
    using answered = machine('e4 40 f4 ;', [{ port: 0x40, to, onBatch, value: 0x5a }])
    await run(answered)
    t.is(answered.registers().rax, 0x5an)
    using unclaimed = machine('e4 40 f4 ;', [{ port: 0x40, to, onBatch }])
    t.is((await run(unclaimed)).reason, 'pio-in')
  }
})

alongBoth('event: the kernel counts, without an exit', async (t, run) => {
  let total = 0
  using vm = numbered(5000, { port: 0x200, to: 'event', onEvent: (count) => (total += count) })
  const result = await run(vm)
  t.deepEqual([result.reason, result.exits, total], ['hlt', 1, 5000])
})

alongBoth('event: a datamatch counts one value, the others are unclaimed', async (t, run) => {
  const counts: number[] = []
  const others: unknown[] = []
  const onEvent = (count: number) => counts.push(count)
  using vm = numbered(4, { port: 0x200, to: 'event', onEvent, datamatch: 2, size: 4 })
  const onExit = (exit: AccessExit) => void others.push('value' in exit && exit.value)
  t.is((await run(vm, { onExit })).reason, 'hlt')
  t.deepEqual([counts, others], [[1], [0, 1, 3]])
})

function refuses(t: ExecutionContext, route: object, message: RegExp): void {
  const make = () => machine('f4 ;', [{ port: 0x40, ...route } as Route])
  t.throws(make, vmError('ERR_INVALID_OPTION', message))
}

test('options of posted routes', (t) => {
  const onBatch = () => undefined
  refuses(t, { to: 'queue' }, /routes\[0\]\.onBatch must be a function, got undefined/)
  refuses(t, { to: 'coalesce', onBatch: 1 }, /routes\[0\]\.onBatch must be a function, got 1/)
  refuses(t, { to: 'queue', onBatch, read: () => 0 }, /routes\[0\] .*'read'/)
  refuses(t, { to: 'queue', onBatch, value: -1 }, /routes\[0\]\.value/)
  refuses(t, { to: 'event' }, /routes\[0\]\.onEvent must be a function/)
  refuses(
    t,
    { to: 'event', onEvent: onBatch, datamatch: 1 },
    /routes\[0\]\.size must be 1, 2, 4 or 8/,
  )
  refuses(t, { to: 'event', onEvent: onBatch, size: 4 }, /routes\[0\]\.datamatch/)
  refuses(t, { to: 'event', onEvent: onBatch, length: 2 }, /routes\[0\]\.length must be 1/)
})

test('a listing is read', (t) => {
  t.deepEqual([...code('e4 40 f4 ;')], [0xe4, 0x40, 0xf4])
})
