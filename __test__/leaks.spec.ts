// Thousands of machines, one after the other: this process stays as big as it is.
import { readFileSync, readdirSync } from 'node:fs'
import { setImmediate as turn } from 'node:timers/promises'

import type { ExecutionContext } from 'ava'
import { VirtualMachine, guests } from '../src/index.ts'
import { allEnded, census, collect, collectUntil, keptFiles } from './fixtures/census.ts'
import { serialTest } from './fixtures/serial.ts'
import { until } from './fixtures/until.ts'
import { machine, vmError } from './helpers/machine.ts'
import { affordable } from './helpers/speed.ts'

/** Touches some of its 2 MiB, so memory that is not freed is seen. */
function hello(): VirtualMachine {
  const vm = machine(guests.hello, [{ port: 0xe9, to: 'console' }])
  vm.memory.write(0x10_0000, filling)
  return vm
}
const filling = new Uint8Array(64 * 1024).fill(1)

/** What comes and goes with the JavaScript heap, in MiB. */
const noiseMiB = 4

/** Repeats `cycle` after a warm-up. What leaks grows in every batch, and noise does not. */
async function assertFlat(
  t: ExecutionContext,
  most: number,
  cycle: (index: number) => unknown,
  kept = keptFiles,
): Promise<void> {
  const cycles = affordable(most)
  const repeat = async (times: number): Promise<void> => {
    for (let index = 0; index < times; index++) {
      const promise = cycle(index)
      if (promise) await promise
    }
    // External buffers are let go in a turn of the event loop.
    t.true(await until(() => census().vcpuThreads === 0))
    for (let index = 0; index < 3; index++) collect()
    t.true(await allEnded(kept))
  }
  await repeat(Math.ceil(cycles / 4))
  let grownMiB = Infinity
  for (let batch = 0; batch < 8 && grownMiB > noiseMiB; batch++) {
    const before = census()
    await repeat(cycles)
    // What V8 frees on threads of its own goes in time, on a busy host after a while; what leaks
    // stays.
    const isBack = () => census().residentMiB - before.residentMiB <= noiseMiB
    await collectUntil(isBack, 5000)
    const after = census()
    grownMiB = after.residentMiB - before.residentMiB
    t.log(`${cycles} cycles: ${grownMiB.toFixed(1)} MiB, ${after.files - before.files} files`)
    t.is(after.files, before.files)
    t.is(after.kvmMappings, before.kvmMappings)
  }
  t.true(grownMiB <= noiseMiB, `${grownMiB} MiB`)
}

serialTest('close() gives everything back, not with the object', async (t) => {
  // The first one brings what the process keeps.
  machine(guests.spin).close()
  t.true(await allEnded())
  for (const running of [false, true]) {
    const before = census()
    const vm = machine(guests.spin, [], { memoryBytes: 256 * 1024 * 1024 })
    const run = running ? vm.run() : undefined
    if (running) t.true(await until(() => census().vcpuThreads === 1))
    const during = census()
    t.is(during.kvmFiles - before.kvmFiles, 2)
    // The kernel may show it as one with a neighbour, such as an arena of malloc.
    const grownMiB = during.bigMiB - before.bigMiB
    t.true(grownMiB >= 256 && grownMiB < 256 + 64, `${grownMiB} MiB`)
    vm.close()
    t.is(census().vcpuThreads, 0)
    // The descriptors go on a thread of its own, soon.
    t.true(await allEnded())
    const { vcpuThreads, kvmFiles, kvmMappings, bigMiB } = before
    t.true(await until(() => census().bigMiB === bigMiB))
    t.like(census(), { vcpuThreads, kvmFiles, kvmMappings, bigMiB })
    if (run) await t.throwsAsync(run, vmError('ERR_VM_CLOSED'))
  }
})

serialTest('close() leaves no descriptor, though somebody keeps the machine', async (t) => {
  const port = (at: number, to: 'queue' | 'coalesce') => ({
    port: at,
    to,
    onBatch: () => undefined,
  })
  const kinds = {
    irqchip: { irqchip: true },
    serial: { serial: true, irqchip: true },
    pc: { pc: true },
    vcpus: { vcpus: 3 },
  }
  // The first run with an event route opens what the process keeps for all of them.
  const first = machine('f4 ; hlt', [{ port: 0x202, to: 'event', onEvent: () => undefined }])
  await first.run()
  first.close()
  t.true(await allEnded())
  const before = census().files
  const kept: VirtualMachine[] = []
  for (const options of Object.values(kinds)) {
    let events = 0
    const vm = machine(
      'e6 20 e6 21 e6 22 f4 ; out %al to $0x20, $0x21, $0x22; hlt',
      [
        port(0x200, 'queue'),
        port(0x201, 'coalesce'),
        { port: 0x202, to: 'event', onEvent: () => void events++ },
        { port: 0x203, to: 'event', onEvent: () => void events++ },
      ],
      options,
    )
    kept.push(vm)
    if ('irqchip' in options) vm.irq(5).pulse()
    void vm.memory.buffer
    await vm.run({ timeoutMs: 20 }).catch(() => undefined)
    vm.close()
    vm.counters()
    t.true(await until(() => census().files === before), JSON.stringify(options))
  }
  t.is(kept.length, 4)
})

serialTest('what was posted before close() still arrives', async (t) => {
  for (const to of ['queue', 'event'] as const) {
    let got = 0
    // out %al,$0x20; movb $1,0x600; jmp .
    const listing = 'e6 20 c6 04 25 00 06 00 00 01 eb fe ;'
    const route =
      to === 'queue'
        ? { port: 0x20, to, onBatch: (batch: { length: number }) => void (got += batch.length) }
        : { port: 0x20, to, onEvent: (count: number) => void (got += count) }
    const vm = machine(listing, [route])
    // On a busy host a short time is over before the guest has begun.
    for (
      let timeoutMs = 20;
      vm.memory.readUint8(0x600) === 0 && timeoutMs < 100_000;
      timeoutMs *= 4
    )
      vm.runSync({ timeoutMs })
    const run = vm.run({ timeoutMs: 300_000 })
    vm.close()
    await t.throwsAsync(run, vmError('ERR_VM_CLOSED'))
    t.is(got, 1, to)
    t.is(vm.counters().exits['pio-out'], to === 'queue' ? 1 : 0)
  }
})

serialTest('a few threads wait for the next run, and not for ever', async (t) => {
  const most = 8
  const runAll = (): Promise<unknown> =>
    Promise.all(
      Array.from({ length: 3 * most }, async () => {
        using vm = hello()
        t.is((await vm.run()).reason, 'hlt')
      }),
    )
  let idle = 0
  // On a busy host those of the first round may have waited their time already.
  for (let round = 0; round < 20 && idle === 0; round++) {
    await runAll()
    // One that is too many ends while its run's end is reported.
    t.is(census().vcpuThreads, 0)
    idle = census().idleThreads
    t.true(idle <= most, `${idle}`)
  }
  t.true(idle >= 1)
  t.true(await until(() => census().idleThreads === 0))
})

serialTest('2,000 times create, runSync, close', async (t) => {
  await assertFlat(t, 2000, () => {
    const vm = hello()
    if (vm.runSync().reason !== 'hlt') t.fail()
    vm.close()
  })
})

serialTest('300 times create, run, close', async (t) => {
  await assertFlat(t, 300, async () => {
    const vm = hello()
    if ((await vm.run()).reason !== 'hlt') t.fail()
    vm.close()
  })
})

serialTest('300 times create, run with a device, close in the middle', async (t) => {
  const routes = (written: () => unknown) => [{ port: 0xe9, device: { write: written } }]
  await assertFlat(t, 300, async (index) => {
    let writes = 0
    const vm = machine(
      guests.hello,
      routes(() => (index % 2 === 0 ? undefined : never)),
    )
    const never = new Promise(() => undefined)
    void vm.memory.buffer
    const run = vm.run({ onExit: () => writes++, timeoutMs: 300_000 })
    if (index % 3 > 0) await new Promise((resolve) => void setImmediate(resolve))
    vm.close()
    await run.then(
      () => undefined,
      ({ code }) => code === 'ERR_VM_CLOSED' || t.fail(code),
    )
  })
})

serialTest('360 runs of one machine, of every kind of end', async (t) => {
  const thrown = new Error('on purpose')
  let mood = 0
  const read = (): number | Promise<number> => {
    if (mood === 0) throw thrown
    if (mood === 1) return new Promise<number>(() => undefined)
    return 0
  }
  using vm = machine(guests.input, [{ port: 0x60, device: { read } }])
  // A multiple of what moods, warm-up and a slow machine divide by: each batch ends with the last
  // mood.
  await assertFlat(
    t,
    360,
    async (index) => {
      mood = index % 3
      // The run before has halted, but for the first.
      if (mood === 0) vm.setRegisters({ rip: 0n, rsp: 0x20_0000n })
      const run = vm.run(mood === 1 ? { timeoutMs: 2 } : {})
      if (mood === 0) await t.throwsAsync(run, vmError('ERR_HANDLER'))
      else await run
    },
    keptFiles + 2,
  )
})

serialTest('500 machines that cannot be made', async (t) => {
  await assertFlat(t, 500, () => {
    const overlapping = [
      { port: 0x10, to: 'discard' },
      { port: 0x10, to: 'discard' },
    ] as const
    t.throws(() => machine(guests.hello, overlapping), vmError('ERR_INVALID_OPTION'))
  })
})

serialTest('machines with event routes share one thread and one descriptor', async (t) => {
  // out %al,$0x62 · hlt
  const live = async (): Promise<void> => {
    const onEvent = () => undefined
    const vm = machine('e6 62 f4 ;', [{ port: 0x62, to: 'event', onEvent }])
    t.is((await vm.run()).reason, 'hlt')
    vm.close()
  }
  await live()
  const before = await filesLeft()
  await Promise.all(Array.from({ length: 10 }, live))
  for (let index = 0; index < 20; index++) await live()
  t.is(await filesLeft(), before)
  t.is(threads().filter((name) => name === 'vmexit-events').length, 1)
})

/** Open files, when what was closed is collected. */
async function filesLeft(): Promise<number> {
  await until(() => census().vcpuThreads === 0)
  await allEnded()
  for (let index = 0; index < 3; index++) {
    collect()
    await turn()
  }
  return census().files
}

function threads(): string[] {
  return readdirSync('/proc/self/task').map((task) => {
    try {
      return readFileSync(`/proc/self/task/${task}/comm`, 'utf8').trim()
    } catch {
      return ''
    }
  })
}

serialTest('close() does not wait for the kernel to end a VM', async (t) => {
  const { times, all } = { times: affordable(20), all: [] as [number, number][] }
  for (let index = 0; index < times; index++) {
    // KVM waits for several grace periods when the controllers go.
    const vm = machine('f4 ; hlt', [], { irqchip: true })
    const start = performance.now()
    vm.close()
    const closed = performance.now()
    t.true(await allEnded())
    all.push([closed - start, performance.now() - start])
  }
  const mid = (at: 0 | 1): number =>
    all.map((both) => both[at]).toSorted((a, b) => a - b)[Math.floor(times / 2)]!
  t.log(`close() ${mid(0).toFixed(2)} ms, gone after ${mid(1).toFixed(1)} ms`)
  t.true(mid(0) < mid(1))
})

serialTest(
  'machines that are closed faster than they end are a few, and all of them end',
  async (t) => {
    t.true(await allEnded())
    const machines = Array.from({ length: 40 }, () => machine('f4 ; hlt', [], { irqchip: true }))
    let most = 0
    for (const [index, vm] of machines.entries()) {
      vm.close()
      const left = machines.length - index - 1
      most = Math.max(most, (census().kvmFiles - keptFiles) / 2 - left)
    }
    // Four that wait, one that ends.
    t.true(most <= 5, String(most))
    t.true(await allEnded())
  },
)

serialTest(
  'machines of a snapshot leave a few VMs for further ones, as long as it is there',
  async (t) => {
    const parent = machine('f4 ; hlt')
    const base = parent.snapshot()
    t.true(await allEnded(keptFiles + 2))
    const forks = Array.from({ length: 20 }, () => new VirtualMachine({ snapshot: base }))
    for (const vm of forks) vm.close()
    t.true(await allEnded(keptFiles + 2 + 2 * 8))
    t.is(census().kvmFiles, keptFiles + 2 + 2 * 8)
    const next = new VirtualMachine({ snapshot: base })
    t.is(census().kvmFiles, keptFiles + 2 + 2 * 8)
    t.is(next.runSync().reason, 'hlt')
    // What it shows is still wanted: the parent can be forked.
    base.close()
    next.close()
    parent.close()
    t.true(await allEnded())
  },
)
