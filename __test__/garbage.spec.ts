// Machines that are never closed: the garbage collector frees their thread, files and memory.
import { setImmediate as turn, setTimeout as sleep } from 'node:timers/promises'

import type { ExecutionContext } from 'ava'
import { type VirtualMachine, guests } from '../src/index.ts'
import {
  type Census,
  allEnded,
  census,
  collect,
  collectUntil,
  keptFiles,
} from './fixtures/census.ts'
import { serialTest } from './fixtures/serial.ts'
import { machine } from './helpers/machine.ts'
import { affordable, patient } from './helpers/speed.ts'

/** Big enough to be seen in this process's address space. */
const memoryBytes = 256 * 1024 * 1024
const count = 8

/** `1: in $0x10,%al; jmp 1b` */
const poll = 'e4 10 eb fc ; 1: in $0x10,%al; jmp 1b'

function spinning(): VirtualMachine {
  return machine(guests.spin, [], { memoryBytes })
}

/** Calls `make` for eight machines, counts, and lets go of them. */
function makeMany(make: () => VirtualMachine): Census {
  const made = Array.from({ length: count }, make)
  const during = census()
  // Until here they are kept.
  made.length = 0
  return during
}

/** All that eight machines took is given back. */
async function assertCollected(t: ExecutionContext, make: () => VirtualMachine): Promise<void> {
  // The first one brings what the process keeps.
  machine(guests.spin).close()
  t.true(await allEnded())
  const before = census()
  const during = makeMany(make)
  t.is(during.kvmFiles - before.kvmFiles, 2 * count)
  t.true(during.kvmMappings - before.kvmMappings >= count)
  t.true(during.bigMiB - before.bigMiB >= 256 * count)
  await turn()
  const isGone = (now = census()): boolean =>
    now.vcpuThreads === 0 &&
    now.kvmFiles === before.kvmFiles &&
    now.kvmMappings === before.kvmMappings &&
    now.bigMiB - before.bigMiB < 256
  t.true(
    await collectUntil(isGone),
    `${JSON.stringify({ before, during, now: census() }, null, 1)}`,
  )
}

serialTest('idle machines', async (t) => {
  await assertCollected(t, spinning)
})

serialTest('machines that have run, with their buffer and their promise', async (t) => {
  await assertCollected(t, () => {
    const vm = spinning()
    new Uint8Array(vm.memory.buffer).fill(1, 4096, 8192)
    t.is(vm.runSync({ timeoutMs: 1 }).reason, 'timeout')
    return vm
  })
})

serialTest('machines that spin in a run that nobody awaits', async (t) => {
  await assertCollected(t, () => {
    const vm = spinning()
    void vm.run()
    return vm
  })
})

serialTest('machines that spin in a run of which only failure is caught', async (t) => {
  await assertCollected(t, () => {
    const vm = spinning()
    vm.run({ timeoutMs: 60_000 }).catch(() => t.fail())
    return vm
  })
})

serialTest('machines whose handlers are asked, and never answer', async (t) => {
  let calls = 0
  await assertCollected(t, () => {
    const read = (): Promise<number> | number => {
      calls++
      return calls % 2 === 0 ? calls & 0xff : new Promise<number>(() => undefined)
    }
    const vm = machine(poll, [{ port: 0x10, device: { read } }], { memoryBytes })
    void vm.run()
    return vm
  })
})

serialTest('machines whose handler refers to them', async (t) => {
  await assertCollected(t, () => {
    const holder: { vm?: VirtualMachine } = {}
    const device = { read: () => Number(holder.vm?.running) }
    const vm = machine(poll, [{ port: 0x10, device }], { memoryBytes })
    holder.vm = vm
    void vm.run({ onExit: () => vm.stop() })
    return vm
  })
})

serialTest('machines whose awaited run is over', async (t) => {
  const runs: Promise<unknown>[] = []
  await assertCollected(t, () => {
    const vm = spinning()
    runs.push(vm.run({ timeoutMs: 300 }).then(({ reason }) => t.is(reason, 'timeout')))
    return vm
  })
  t.is((await Promise.all(runs)).length, count)
})

serialTest('a closed machine does not keep its memory', async (t) => {
  const kept: VirtualMachine[] = []
  await assertCollected(t, () => {
    const vm = spinning()
    kept.push(vm)
    void vm.memory.buffer
    void vm.run()
    setImmediate(() => vm.close())
    return vm
  })
  t.is(kept.length, count)
})

/** What a machine leaves when only its buffer is kept. */
function bufferOf(run: boolean): ArrayBuffer {
  const vm = spinning()
  vm.memory.writeUint32(0x1000, 0xc0ffee)
  if (run) void vm.run()
  return vm.memory.buffer
}

serialTest('a buffer that is kept alone keeps the memory', async (t) => {
  for (const run of [false, true]) {
    t.true(await allEnded())
    const before = census()
    const kept = { buffer: bufferOf(run) as ArrayBuffer | undefined }
    await turn()
    const filesGone = ({ kvmFiles, vcpuThreads } = census()): boolean =>
      kvmFiles === before.kvmFiles && vcpuThreads === 0
    t.true(await collectUntil(filesGone), JSON.stringify(census()))
    const view = new DataView(kept.buffer!)
    t.is(view.byteLength, memoryBytes)
    t.is(view.getUint32(0x1000, true), 0xc0ffee)
    view.setUint8(memoryBytes - 1, 7)
    t.is(view.getUint8(memoryBytes - 1), 7)
  }
})

serialTest('an awaited run keeps its machine', async (t) => {
  const seen = { reads: 0 }
  const start = (timeoutMs: number): Promise<unknown> => {
    const read = (): number => ++seen.reads & 0xff
    const asking = machine(poll, [{ port: 0x10, device: { read } }])
    const runs = [asking.run({ timeoutMs }), machine(guests.spin).run({ timeoutMs })]
    return Promise.all(runs.map(async (run) => (await run).reason))
  }
  // On a busy host a guest may not begin within its time.
  for (let timeoutMs = patient(400); seen.reads === 0 && timeoutMs < 200_000; timeoutMs *= 4) {
    const reasons = start(timeoutMs)
    for (let index = 0; index < 20; index++) {
      collect()
      await sleep(5)
    }
    t.deepEqual(await reasons, ['timeout', 'timeout'])
  }
  t.true(seen.reads > 0)
})

serialTest('a promise that is kept, and awaited late, keeps its machine', async (t) => {
  const start = (): Promise<unknown> => machine(guests.spin).run({ timeoutMs: patient(150) })
  const run = start()
  for (let index = 0; index < 10; index++) {
    collect()
    await sleep(5)
  }
  t.like(await run, { reason: 'timeout' })
})

serialTest('many machines that come and go while garbage is collected', async (t) => {
  // What tests before this one have left goes first.
  t.true(await collectUntil(() => census().kvmFiles <= keptFiles))
  const before = census()
  // A function of its own, whose end forgets its machine.
  const comeAndGo = async (kind: number): Promise<void> => {
    const vm = machine(guests.hello, [{ port: 0xe9, to: 'console' }])
    if (kind === 0) void vm.run()
    else if (kind === 1) t.is((await vm.run()).reason, 'hlt')
    else if (kind === 2) t.is(vm.runSync().reason, 'hlt')
  }
  for (let index = 0; index < affordable(200); index++) {
    await comeAndGo(index % 4)
    if (index % 10 === 0) collect()
  }
  const isGone = (now = census()): boolean =>
    now.vcpuThreads === 0 && now.kvmFiles === before.kvmFiles
  t.true(await collectUntil(isGone), JSON.stringify(census()))
})
