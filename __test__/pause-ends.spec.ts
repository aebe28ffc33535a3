// What a vCPU may be doing when a pause comes, and what ends a paused run.
import { setTimeout as sleep } from 'node:timers/promises'

import { type VirtualMachine, guests } from '../src/index.ts'
import { allEnded, census, collectUntil } from './fixtures/census.ts'
import { serialTest } from './fixtures/serial.ts'
import { until } from './fixtures/until.ts'
import { machine, vmError } from './helpers/machine.ts'
import { patient } from './helpers/speed.ts'

const never = (): Promise<never> => new Promise(() => undefined)

/** What keeps a vCPU from coming back by itself, and whether it waits there. */
interface Busy {
  vm: VirtualMachine
  waits: () => boolean
  /** How often a handler was asked that never answers: once, as others have to wait for it. */
  asked?: () => number
  onExit?: () => Promise<never>
}

const busy: Record<string, () => Busy> = {
  'in the guest': () => ({ vm: machine(guests.spin), waits: () => true }),
  'in the guest, ring 3': () => ({
    vm: machine(guests.spin, [], { privilege: 'user' }),
    waits: () => true,
  }),
  'halted in the kernel': () => {
    const vm = machine('fb f4 eb fd ; sti; 1: hlt; jmp 1b', [], { irqchip: true })
    return { vm, waits: () => true }
  },
  'waiting for INIT': () => ({
    vm: machine(guests.spin, [], { irqchip: true, vcpus: 3 }),
    waits: () => true,
  }),
  'at a full ring': () => {
    const vm = machine('e6 62 eb fc ; 1: out %al,$0x62; jmp 1b', [
      { port: 0x62, to: 'queue', onBatch: never },
    ])
    return { vm, waits: () => vm.counters().ringWaits > 0 }
  },
  'at a full ring of the kernel': () => {
    const vm = machine('e6 62 eb fc ; 1: out %al,$0x62; jmp 1b', [
      { port: 0x62, to: 'coalesce', onBatch: never },
    ])
    return { vm, waits: () => vm.counters().ringWaits > 0 }
  },
  'at a gate': () => {
    let writes = 0
    const write = (): Promise<never> => (writes++, never())
    const vm = machine('e6 11 ; out %al,$0x11', [{ port: 0x11, device: { write } }], { vcpus: 3 })
    const waits = (): boolean => writes === 1 && vm.counters().exits['pio-out'] === 3
    return { vm, waits, asked: () => writes }
  },
  'with text that waits for another vCPU': () => {
    let texts = 0
    const onData = (): Promise<never> => (texts++, never())
    const vm = machine(
      'e6 e9 eb fc ; 1: out %al,$0xe9; jmp 1b',
      [{ port: 0xe9, to: 'console', onData }],
      { vcpus: 3 },
    )
    return { vm, waits: () => texts === 1, asked: () => texts }
  },
  'at onExit': () => {
    let exits = 0
    const vm = machine('e4 20 ; in $0x20,%al')
    const onExit = (): Promise<never> => (exits++, never())
    return { vm, waits: () => exits === 1, asked: () => exits, onExit }
  },
}

const reason = { because: 'of this' }

/** No run of these tests takes that long. */
const longMs = 600_000

/** What ends a paused run, and what then becomes of its promise. */
const ends: Record<string, (vm: VirtualMachine, abort: AbortController) => void> = {
  stop: (vm) => vm.stop(),
  close: (vm) => vm.close(),
  abort: (_, controller) => controller.abort(reason),
  'resume and stop': (vm) => (vm.resume(), vm.stop()),
  'a time-out of what is left': (vm) => vm.resume(),
}

/** Begins a run, and waits until its vCPU does; with more time, where it takes longer. */
async function waiting(make: () => Busy, timeoutMs: number) {
  for (let patience = timeoutMs; ; patience *= 4) {
    const { vm, waits, asked, onExit } = make()
    const controller = new AbortController()
    const options = { signal: controller.signal, ...(onExit && { onExit }) }
    const run = vm.run({ ...options, timeoutMs: patience })
    // A promise that is rejected while the pause is awaited is no accident.
    run.catch(() => undefined)
    await until(() => waits() || !vm.running)
    const isThere = waits()
    if (isThere || patience >= longMs) return { vm, asked, run, controller, isThere }
    vm.close()
  }
}

for (const [where, make] of Object.entries(busy)) {
  serialTest(`a vCPU leaves for a pause, and again, and for good: ${where}`, async (t) => {
    for (const [how, end] of Object.entries(ends)) {
      const isTimed = how.startsWith('a time-out')
      const begun = await waiting(make, isTimed ? patient(1500) : longMs)
      const { vm, asked, run, controller } = begun
      using _ = vm
      t.true(begun.isThere, where)
      for (let index = 0; index < 3; index++) {
        await vm.pause()
        if (!isTimed) t.true(vm.paused, `${where}, ${how}`)
        if (index < 2) vm.resume()
        await sleep(2)
      }
      if (asked) t.is(asked(), 1, `${where}, ${how}`)
      end(vm, controller)
      if (how === 'close') await t.throwsAsync(run, vmError('ERR_VM_CLOSED'))
      else if (how === 'abort') t.is(await run.catch((error: unknown) => error), reason)
      else t.is((await run).reason, isTimed ? 'timeout' : 'stopped', `${where}, ${how}`)
      t.deepEqual([vm.paused, vm.running], [false, false])
    }
  })
}

serialTest('close() during a pause, and before the vCPUs have left', async (t) => {
  t.true(await allEnded())
  const before = census()
  for (const waits of [true, false]) {
    const vm = machine(guests.spin, [], { vcpus: 2 })
    const run = vm.run()
    const pause = vm.pause()
    if (waits) await pause
    vm.close()
    await pause
    t.false(vm.paused)
    await t.throwsAsync(run, vmError('ERR_VM_CLOSED'))
    t.is(census().vcpuThreads, 0)
    t.true(await allEnded(before.kvmFiles))
    t.true(await until(() => census().kvmMappings === before.kvmMappings))
  }
})

serialTest('text and writes from before the pause still arrive at close()', async (t) => {
  const got: string[] = []
  // out %al,$0xe9; out %al,$0x62; jmp .
  const vm = machine('b0 41 ; mov\n e6 e9 ; out\n e6 62 ; out\n eb fe ; jmp .', [
    { port: 0xe9, to: 'console', onData: (bytes) => void got.push(String(Buffer.from(bytes))) },
    { port: 0x62, to: 'queue', onBatch: ({ length }) => void got.push(`${length}`) },
  ])
  const run = vm.run()
  await vm.pause()
  const exits = vm.counters().exits['pio-out']
  vm.close()
  await t.throwsAsync(run, vmError('ERR_VM_CLOSED'))
  t.is(got.length, exits)
})

serialTest('output that waits in a pause is the result of the whole run', async (t) => {
  // out %al,$0xe9; out %al,$0x11; hlt
  const listing = 'b0 41 ; mov\n e6 e9 ; out\n e6 11 ; out\n e6 e9 ; out\n f4 ; hlt'
  let settle = (): void => undefined
  const written = new Promise<void>((resolve) => (settle = resolve))
  let writes = 0
  using vm = machine(listing, [
    { port: 0xe9, to: 'console' },
    { port: 0x11, device: { write: () => (writes++, written) } },
  ])
  const run = vm.run()
  t.true(await until(() => writes === 1))
  await vm.pause()
  settle()
  vm.resume()
  t.is((await run).outputText, 'AA')
})

serialTest(
  'a restore during a pause: what was asked is asked again, the answer is dropped',
  async (t) => {
    for (const late of ['value', 'error', 'none'] as const) {
      const asked: string[] = []
      const answers: ((value: unknown) => void)[] = []
      const failures: ((error: unknown) => void)[] = []
      const read = (): Promise<number> => {
        asked.push('read')
        return new Promise<number>((resolve, reject) => {
          answers.push(resolve as never)
          failures.push(reject)
        })
      }
      const write = (): Promise<void> => {
        asked.push('write')
        return asked.length === 1 ? never() : Promise.resolve()
      }
      // out %al,$0x11; in $0x10,%al; hlt
      using vm: VirtualMachine = machine('e6 11 ; out\n e4 10 ; in\n f4 ; hlt', [
        { port: 0x10, device: { read } },
        { port: 0x11, device: { write } },
      ])
      const run = vm.run({ timeoutMs: longMs })
      t.true(await until(() => asked.length === 1))
      await vm.pause()
      using base = vm.snapshot()
      vm.restore(base)
      vm.resume()
      t.true(await until(() => asked.length === 3))
      t.deepEqual(asked, ['write', 'write', 'read'])
      await vm.pause()
      using reading = vm.snapshot()
      vm.restore(reading)
      if (late === 'value') answers[0]!(1)
      if (late === 'error') failures[0]!(new Error('too late'))
      vm.resume()
      t.true(await until(() => asked.length === 4))
      await sleep(1)
      t.true(vm.running)
      answers[1]!(0x5a)
      t.is((await run).reason, 'hlt')
      t.is(vm.registers().rax & 0xffn, 0x5an)
      t.deepEqual(asked, ['write', 'write', 'read', 'read'])
    }
  },
)

serialTest('a paused machine that nobody can reach is collected', async (t) => {
  t.true(await allEnded())
  const before = census().kvmFiles
  await (async () => {
    const vm = machine(guests.spin)
    vm.run().catch(() => undefined)
    await vm.pause()
    t.is(census().kvmFiles, before + 2)
  })()
  t.true(await collectUntil(() => census().kvmFiles === before))
})
