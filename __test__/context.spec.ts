// The asynchronous context in which handlers run: that of the run() that asked, and no other.
import { AsyncLocalStorage, createHook } from 'node:async_hooks'
import { setImmediate as turn, setTimeout as sleep } from 'node:timers/promises'

import type { RunResult, VirtualMachine } from '../src/index.ts'
import { collectUntil } from './fixtures/census.ts'
import { serialTest } from './fixtures/serial.ts'
import { until } from './fixtures/until.ts'
import { machine } from './helpers/machine.ts'

const storage = new AsyncLocalStorage<{ name: string }>()
const current = (): string => storage.getStore()?.name ?? 'none'
const inStore = <T>(name: string, call: () => T): T => storage.run({ name }, call)

/** One access for each kind of handler, then a halt, and again. */
const accesses = `
  e4 10       ; 1: in $0x10,%al
  e6 11       ; out %al,$0x11
  e6 12       ; out %al,$0x12
  e6 13       ; out %al,$0x13
  e4 20       ; in $0x20,%al
  e6 e9       ; out %al,$0xe9
  66 ba f8 03 ; mov $0x3f8,%dx
  ee          ; out %al,(%dx)
  f4          ; hlt
  eb ec       ; jmp 1b
`
const kinds = ['onBatch', 'onData', 'onEvent', 'onExit', 'read', 'serial', 'write']

/**
 * A machine whose handlers note the store that they see; what `later` gives is what they return.
 */
class Rig {
  readonly seen: string[] = []
  readonly vm: VirtualMachine

  constructor(
    readonly later: (note: () => void) => unknown = (note) => note(),
    listing = accesses,
  ) {
    const read = (): never => this.#note('read', 7) as never
    const write = (): unknown => this.#note('write')
    const onData = (): unknown => this.#note('onData')
    this.vm = machine(
      listing,
      [
        { port: 0x10, device: { read } },
        { port: 0x11, device: { write } },
        { port: 0x12, to: 'queue', onBatch: () => this.#note('onBatch') },
        { port: 0x13, to: 'event', onEvent: () => this.#note('onEvent') },
        { port: 0xe9, to: 'console', onData },
      ],
      { serial: true },
    )
    this.vm.serial.on('data', () => void this.#note('serial'))
  }

  run(timeoutMs = 300_000): Promise<RunResult> {
    return this.vm.run({ timeoutMs, onExit: () => this.#note('onExit', 7) as never })
  }

  /** What was seen since the last call, sorted: kinds may overtake each other. */
  take(): string[] {
    return this.seen.splice(0).toSorted()
  }

  #note(kind: string, value?: number): unknown {
    const given = this.later(() => void this.seen.push(`${kind} ${current()}`))
    return given instanceof Promise ? given.then(() => value) : value
  }
}

/** `1: in $0x10,%al; jmp 1b` */
const poll = 'e4 10 eb fc ; 1: in $0x10,%al; jmp 1b'

/** Runs a machine to its end in a store to which nothing else refers. */
async function runInStore(
  registry: FinalizationRegistry<undefined>,
  run: () => Promise<unknown>,
): Promise<void> {
  const store = { name: 'to be collected' }
  registry.register(store, undefined)
  await storage.run(store, run)
}

serialTest('no store outlives its run, while others run and the machine is kept', async (t) => {
  let left = 10
  const registry = new FinalizationRegistry<undefined>(() => left--)
  const rig = new Rig()
  // The first run of this process.
  await runInStore(registry, () => rig.run())
  using flooding = machine(poll, [{ port: 0x10, device: { read: () => 1 } }])
  using promising = machine(poll, [{ port: 0x10, device: { read: () => turn(1) } }])
  const others = [flooding, promising].map((vm) => vm.run({ timeoutMs: 600_000 }))
  for (let count = 1; count < 10; count++) await runInStore(registry, () => rig.run())
  t.true(await collectUntil(() => left === 0), `${left} of 10 left`)
  t.true(flooding.running && promising.running && !rig.vm.closed)
  for (const vm of [flooding, promising]) vm.stop()
  await Promise.all(others)
  rig.vm.close()
})

serialTest('what one run leaves for the next turn is in no context', async (t) => {
  const stores = new Set<string>()
  let scheduled = 0
  const hook = createHook({
    init(_id, type) {
      if (type !== 'Immediate' && type !== 'Timeout') return
      scheduled++
      stores.add(current())
    },
  })
  for (const held of [true, false]) {
    using vm = machine(poll, [{ port: 0x10, device: { read: async () => 1 } }])
    hook.enable()
    const run = inStore('run', () => vm.run({ timeoutMs: 300_000 }))
    if (held) inStore('none', () => void run.then(() => undefined))
    scheduled = 0
    t.true(
      await until(
        () => scheduled > 100,
        300_000,
        () => sleep(1),
      ),
    )
    hook.disable()
    vm.stop()
    t.is((await run).reason, 'stopped')
  }
  t.deepEqual([...stores], ['none'])
})

const all = (name: string): string[] => kinds.map((kind) => `${kind} ${name}`)

const delays: Record<string, (note: () => void) => unknown> = {
  'at once': (note) => note(),
  'in a promise': async (note) => {
    await turn()
    note()
  },
  'in a timer': (note) =>
    new Promise<void>((resolve) => {
      setTimeout(() => {
        note()
        resolve()
      }, 1)
    }),
}

for (const [when, later] of Object.entries(delays)) {
  serialTest(`every kind of handler sees the store of its own run, ${when}`, async (t) => {
    const rig = new Rig(later)
    for (const name of ['first', 'second', 'third']) {
      t.is((await inStore(name, () => rig.run())).reason, 'hlt')
      t.true(await until(() => rig.seen.length === kinds.length))
      t.deepEqual(rig.take(), all(name))
    }
    t.is((await rig.run()).reason, 'hlt')
    t.true(await until(() => rig.seen.length === kinds.length))
    t.deepEqual(rig.take(), all('none'))
    rig.vm.close()
  })

  serialTest(`machines side by side see each its own store, ${when}`, async (t) => {
    const rigs = Array.from({ length: 4 }, () => new Rig(later))
    for (let round = 0; round < 10; round++) {
      await Promise.all(rigs.map((rig, index) => inStore(`${round} ${index}`, () => rig.run())))
      for (const [index, rig] of rigs.entries()) {
        t.true(await until(() => rig.seen.length === kinds.length))
        t.deepEqual(rig.take(), all(`${round} ${index}`))
      }
    }
    for (const { vm } of rigs) vm.close()
  })
}

serialTest('floods of questions keep apart, those that promise too', async (t) => {
  const stray: string[] = []
  const asked: number[] = []
  const vms = ['a', 'b', 'c', 'none'].map((name, index) => {
    asked.push(0)
    const read = (): number | Promise<number> => {
      asked[index]!++
      if (current() !== name) stray.push(`${name} saw ${current()}`)
      return index === 2 ? turn(1) : 1
    }
    return [name, machine(poll, [{ port: 0x10, device: { read } }])] as const
  })
  const runs = vms.map(([name, vm]) => {
    const options = { timeoutMs: 300_000 }
    return name === 'none' ? vm.run(options) : inStore(name, () => vm.run(options))
  })
  t.true(await until(() => asked.every((count) => count > 50)), asked.join())
  for (const [, vm] of vms) vm.stop()
  for (const run of runs) t.is((await run).reason, 'stopped')
  t.deepEqual(stray, [])
  for (const [, vm] of vms) vm.close()
})

serialTest('under runSync() handlers see the store of the caller', (t) => {
  const rig = new Rig()
  const onExit = (): number => Number(rig.seen.push(`onExit ${current()}`))
  for (const name of ['first', 'second']) {
    t.is(inStore(name, () => rig.vm.runSync({ onExit })).reason, 'hlt')
    const seen = rig.take().filter((one) => !one.startsWith('serial'))
    t.deepEqual(
      seen,
      all(name).filter((one) => !one.startsWith('serial')),
    )
  }
  rig.vm.close()
})

/** Text and a posted write, then it spins. */
const leaves = 'b0 41 e6 e9 e6 12 eb fe ; mov $0x41,%al; out %al,$0xe9; out %al,$0x12; jmp .'

for (const [how, end] of Object.entries({
  'stop()': (vm: VirtualMachine) => vm.stop(),
  'close()': (vm: VirtualMachine) => vm.close(),
})) {
  serialTest(`what ${how} in another context leaves arrives in that of the run`, async (t) => {
    const seen: string[] = []
    const note = (): void => void seen.push(current())
    for (let count = 0; count < 20; count++) {
      const vm = machine(leaves, [
        { port: 0xe9, to: 'console', onData: note },
        { port: 0x12, to: 'queue', onBatch: note },
      ])
      const run = inStore('run', () => vm.run({ timeoutMs: 300_000 })).catch(() => undefined)
      while (vm.counters().routes[1]!.writes === 0) await turn()
      inStore('other', () => end(vm))
      await run
      vm.close()
      t.deepEqual([...new Set(seen.splice(0))], ['run'])
    }
  })
}
