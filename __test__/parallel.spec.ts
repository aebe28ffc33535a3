// Many machines at once in one process: each gets its own answers, and the event loop stays free.
import { setImmediate as turn, setTimeout as sleep } from 'node:timers/promises'

import { type VirtualMachine, guests } from '../src/index.ts'
import { census } from './fixtures/census.ts'
import { serialTest } from './fixtures/serial.ts'
import { until } from './fixtures/until.ts'
import { machine } from './helpers/machine.ts'
import { affordable } from './helpers/speed.ts'

/** Gives a guest its own numbers; what it answers must be each of them plus one. */
class Interview {
  readonly vm: VirtualMachine
  readonly heard: unknown[] = []
  reads = 0
  readonly #first: number
  readonly #rounds: number

  constructor(index: number, rounds: number, wait?: () => Promise<unknown>) {
    this.#first = index * 1000
    this.#rounds = rounds
    const hear = (value: unknown): unknown => this.heard.push(value)
    this.vm = machine(guests.ask, [
      {
        port: 0x61,
        device: { read: wait ? () => wait().then(() => this.#next()) : () => this.#next() },
      },
      {
        port: 0x62,
        device: {
          write: (_offset, _size, value) => (wait ? wait().then(() => hear(value)) : hear(value)),
        },
      },
    ])
  }

  #next(): number {
    return this.reads < this.#rounds ? this.#first + this.reads++ : 0xffff_ffff
  }

  /** What it must have heard. */
  get expected(): number[] {
    return Array.from({ length: this.#rounds }, (_, round) => this.#first + round + 1)
  }
}

const waits: Record<string, (() => Promise<unknown>) | undefined> = {
  'plain answers': undefined,
  'answers by promise': () => Promise.resolve(),
  'answers after a turn of the event loop': () => turn(),
}

for (const [kind, wait] of Object.entries(waits)) {
  serialTest(`16 machines at once, ${kind}`, async (t) => {
    const interviews = Array.from({ length: 16 }, (_, index) => new Interview(index, 60, wait))
    const results = await Promise.all(interviews.map(({ vm }) => vm.run()))
    for (const [index, { reason, exits }] of results.entries()) {
      const { vm, heard, expected } = interviews[index]!
      t.is(reason, 'hlt')
      t.is(exits, 122)
      t.deepEqual(heard, expected)
      t.is(vm.registers().rax, 60n)
      t.deepEqual(vm.counters().routes, [
        { reads: 61, writes: 0 },
        { reads: 0, writes: 60 },
      ])
      vm.close()
    }
  })
}

serialTest('16 machines that Rust answers count exactly', async (t) => {
  const machines = Array.from({ length: 16 }, (_, index) => {
    const vm = machine(guests.count, [{ port: 0x200, to: 'count' }])
    vm.memory.writeUint32(0x500, 100 + index)
    return vm
  })
  const results = await Promise.all(machines.map((vm) => vm.run()))
  for (const [index, vm] of machines.entries()) {
    t.is(results[index]?.reason, 'hlt')
    t.is(vm.counters().routes[0]?.writes, 100 + index)
    t.is(vm.registers().rax, BigInt(100 + index))
    vm.close()
  }
})

serialTest('the event loop is free while machines run', async (t) => {
  const machines = Array.from({ length: 4 }, () => machine(guests.spin))
  const asking = new Interview(0, 1e9)
  const runs = [...machines, asking.vm].map((vm) => vm.run({ timeoutMs: 300_000 }))
  t.true(await until(() => census().vcpuThreads === 5))
  let ticks = 0
  const timer = setInterval(() => ticks++, 1)
  t.true(
    await until(
      () => ticks >= 20 && asking.reads > 20,
      300_000,
      () => sleep(1),
    ),
  )
  clearInterval(timer)
  for (const vm of [...machines, asking.vm]) {
    t.true(vm.running)
    vm.stop()
  }
  for (const run of runs) t.is((await run).reason, 'stopped')
  for (const vm of [...machines, asking.vm]) vm.close()
})

serialTest('runs that nobody awaits are answered all the same, by slow handlers too', async (t) => {
  const poll = 'e4 10 eb fc ; 1: in $0x10,%al; jmp 1b'
  const counts = [0, 0, 0]
  const machines = counts.map((_, index) => {
    const read = (): number => {
      const end = performance.now() + index * 0.3
      while (performance.now() < end);
      return counts[index]!++ & 0xff
    }
    return machine(poll, [{ port: 0x10, device: { read } }])
  })
  for (const vm of machines) void vm.run()
  // Over many turns of the event loop, since a question may be missed only where a turn ends.
  t.true(await until(() => counts.every((count) => count > 300)), counts.join())
  for (const vm of machines) vm.close()
})

serialTest('a promise that never settles holds up its own machine only', async (t) => {
  using stuck = new Interview(0, 5, () => new Promise(() => undefined)).vm
  const run = stuck.run()
  const interviews = Array.from({ length: 4 }, (_, index) => new Interview(index + 1, 50, turn))
  const results = await Promise.all(interviews.map(({ vm }) => vm.run()))
  for (const [index, { vm, heard, expected }] of interviews.entries()) {
    t.is(results[index]?.reason, 'hlt')
    t.deepEqual(heard, expected)
    vm.close()
  }
  t.true(stuck.running)
  stuck.stop()
  t.is((await run).reason, 'stopped')
})

serialTest(
  'machines that start and end while others do: no run takes the end of another',
  async (t) => {
    const rounds = affordable(120)
    const ends: Record<string, number> = {}
    const startOften = async (index: number): Promise<void> => {
      const { vm } = new Interview(index, 2)
      for (let round = 0; round < rounds; round++) {
        const { reason } = await vm.run().catch(({ code }) => ({ reason: code }))
        ends[reason] = (ends[reason] ?? 0) + 1
        vm.setRegisters({ rip: 0n, rsp: 0x20_0000n })
      }
      vm.close()
    }
    await Promise.all(Array.from({ length: 8 }, (_, index) => startOften(index)))
    t.deepEqual(ends, { hlt: 8 * rounds })
  },
)
