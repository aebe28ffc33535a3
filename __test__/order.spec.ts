// What a vCPU posted comes before what it asks later.
import { setTimeout as sleep } from 'node:timers/promises'

import type { Device, WriteBatch, Route, RunResult, VirtualMachine } from '../src/index.ts'
import { until } from './fixtures/until.ts'
import { kvmTest, kvmTestBoth } from './helpers/kvm.ts'
import { machine } from './helpers/machine.ts'
import { patient } from './helpers/speed.ts'

const kinds = ['queue', 'coalesce', 'event'] as const
type Kind = (typeof kinds)[number]

/** A posted route at port 0x20 that notes what arrives; an event says only how often. */
function posted(to: Kind, log: unknown[], returns: () => unknown = () => undefined): Route {
  if (to === 'event') {
    const onEvent = (count: number) => (log.push(...Array(count).fill('posted')), returns())
    return { port: 0x20, to, onEvent }
  }
  const onBatch = (batch: WriteBatch) => {
    log.push(...Array(batch.length).fill('posted'))
    return returns()
  }
  return { port: 0x20, to, onBatch }
}

function asked(log: unknown[]): Device {
  return {
    read() {
      log.push('read')
      return 0
    },
    write: () => void log.push('write'),
  }
}

/** Posts twice, then asks with a write and a read. */
const guest = `
  b0 01  ; mov $1,%al
  e6 20  ; out %al,$0x20
  b0 02  ; mov $2,%al
  e6 20  ; out %al,$0x20
  e6 10  ; out %al,$0x10
  e4 11  ; in $0x11,%al
  f4     ; hlt
`
const real = { mode: 'real' } as const

for (const to of kinds) {
  kvmTestBoth(`${to}: before a device is asked`, async (t, run) => {
    const log: unknown[] = []
    const routes: Route[] = [posted(to, log), { port: 0x10, length: 2, device: asked(log) }]
    using vm = machine(guest, routes, real)
    t.is((await run(vm)).reason, 'hlt')
    t.deepEqual(log, ['posted', 'posted', 'write', 'read'])
  })

  kvmTestBoth(`${to}: before onExit is asked`, async (t, run) => {
    const log: unknown[] = []
    using vm = machine(guest, [posted(to, log)], real)
    const onExit = () => void log.push('asked')
    await run(vm, { onExit: () => (onExit(), 0) })
    t.deepEqual(log, ['posted', 'posted', 'asked', 'asked'])
  })

  kvmTestBoth(`${to}: before text goes out, in mid-run and at its end`, async (t, run) => {
    // out %al,$0x20 · out %al,$0xe9 · out %al,$0x10 · out %al,$0x20 · out %al,$0xe9 · hlt
    const log: unknown[] = []
    const onData = () => void log.push('text')
    const routes: Route[] = [
      posted(to, log),
      { port: 0xe9, to: 'console', onData },
      { port: 0x10, device: asked(log) },
    ]
    using vm = machine('e6 20 e6 e9 e6 10 e6 20 e6 e9 f4 ;', routes, real)
    await run(vm)
    t.deepEqual(log, ['posted', 'text', 'write', 'posted', 'text'])
  })

  kvmTestBoth(
    `${to}: a consumer that fails or stops leaves the question to the next run`,
    async (t, run) => {
      for (const fails of [true, false]) {
        const log: unknown[] = []
        let isFirst = true
        const end = () => {
          if (!isFirst) return
          isFirst = false
          if (fails) throw new Error('enough')
          vm.stop()
        }
        const routes: Route[] = [
          posted(to, log, end),
          { port: 0x10, length: 2, device: asked(log) },
        ]
        using vm: VirtualMachine = machine(guest, routes, real)
        if (fails) await t.throwsAsync(async () => run(vm), { code: 'ERR_HANDLER' })
        else t.is((await run(vm)).reason, 'stopped')
        t.false(log.includes('write'))
        t.is((await run(vm)).reason, 'hlt')
        t.deepEqual(log, ['posted', 'posted', 'write', 'read'])
      }
    },
  )
}

kvmTest('what several vCPUs posted is there before any of them asks', async (t) => {
  const count = 4
  // Each posts its own number, in EDI, then asks with it.
  // 89 f8  mov %edi,%eax · e6 20  out %al,$0x20 · e6 10  out %al,$0x10 · eb fe  jmp .
  const seen = new Set<number>()
  const device: Device = {
    write(_offset, _size, value) {
      if (!seen.has(Number(value))) throw new Error(`${value} asked before it had posted`)
      if (++answered === count) vm.stop()
    },
  }
  let answered = 0
  const onBatch = (batch: WriteBatch) => batch.values.forEach((value) => seen.add(Number(value)))
  const routes: Route[] = [
    { port: 0x20, to: 'queue', onBatch },
    { port: 0x10, device },
  ]
  using vm: VirtualMachine = machine('89 f8 e6 20 e6 10 eb fe ;', routes, { vcpus: count })
  t.is((await vm.run({ timeoutMs: 300_000 })).reason, 'stopped')
})

/** Posts, waits until the byte at 0x500 is set, posts again, sets the byte at 0x501, asks. */
const waiting = `
  e6 20           ; out %al,$0x20
  80 3e 00 05 00  ; 1: cmpb $0,0x500
  74 f9           ; je 1b
  e6 20           ; out %al,$0x20
  c6 06 01 05 01  ; movb $1,0x501
  e6 10           ; out %al,$0x10
  f4              ; hlt
`

interface Held {
  log: unknown[]
  vm: VirtualMachine
  release: () => void
}

/**
 * A machine whose consumer returns a promise at its first call, and lets the guest post again
 * meanwhile.
 */
function held(to: Kind, listing = waiting): Held {
  const log: unknown[] = []
  let release: () => void = () => undefined
  const open = new Promise<void>((resolve) => (release = resolve))
  let isFirst = true
  const first = (): unknown => {
    if (!isFirst) return undefined
    isFirst = false
    vm.memory.writeUint8(0x500, 1)
    return open
  }
  const routes: Route[] = [posted(to, log, first), { port: 0x10, device: asked(log) }]
  const vm: VirtualMachine = machine(listing, routes, real)
  return { log, vm, release }
}

/** One of them that runs, right before its guest asks; on a busy host that takes some time. */
async function asking(
  to: Kind,
  end: 'timeout' | 'stopped',
): Promise<Held & { run: Promise<RunResult> }> {
  for (let timeoutMs = end === 'timeout' ? 1000 : 300_000; ; timeoutMs *= 4) {
    const one = held(to)
    const { vm } = one
    let isOver = false
    const run = vm.run({ timeoutMs }).finally(() => (isOver = true))
    const asks = (): boolean => vm.memory.readUint8(0x501) === 1
    await until(() => asks() || isOver)
    if (asks()) return { ...one, run }
    vm.close()
    if (timeoutMs > 100_000) throw new Error('the guest does not come to its question')
  }
}

for (const to of kinds) {
  kvmTest(
    `${to}: a question waits for the batches before it while a promise is open`,
    async (t) => {
      const { log, vm, release } = held(to)
      const run = vm.run({ timeoutMs: 300_000 }).then((result) => result)
      t.true(await until(() => vm.memory.readUint8(0x501) === 1))
      await sleep(patient(100))
      t.deepEqual(log, ['posted'])
      release()
      t.is((await run).reason, 'hlt')
      t.deepEqual(log, ['posted', 'posted', 'write'])
      vm.close()
    },
  )

  kvmTest(`${to}: an open promise alone holds up no question`, async (t) => {
    // out %al,$0x20 · out %al,$0x10 · jmp .
    const { log, vm } = held(to, 'e6 20 e6 10 eb fe ;')
    const run = vm.run({ timeoutMs: 300_000 }).then((result) => result)
    t.true(await until(() => log.length === 2))
    t.deepEqual(log, ['posted', 'write'])
    vm.stop()
    t.is((await run).reason, 'stopped')
    vm.close()
  })

  kvmTest(
    `${to}: stop() and the time-out end a question's wait, and the next run asks it`,
    async (t) => {
      for (const end of ['timeout', 'stopped'] as const) {
        const { log, vm, run } = await asking(to, end)
        if (end === 'stopped') {
          await sleep(patient(50))
          vm.stop()
        }
        t.is((await run).reason, end)
        t.deepEqual(log, ['posted', 'posted'])
        t.is((await vm.run({ timeoutMs: 300_000 })).reason, 'hlt')
        t.deepEqual(log, ['posted', 'posted', 'write'])
        vm.close()
      }
    },
  )
}
