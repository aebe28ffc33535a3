// How soon a lone posted write arrives, beside a device of the same machine; and that a flood rings
// no bell for each.
import { setTimeout as sleep } from 'node:timers/promises'

import test, { type ExecutionContext } from 'ava'
import { type WriteBatch, type Route, type VirtualMachine, guests } from '../src/index.ts'
import { kvmTest } from './helpers/kvm.ts'
import { machine } from './helpers/machine.ts'
import { affordable } from './helpers/speed.ts'

const real = { mode: 'real' } as const

/** How often is looked again: what the host does is another thing each time, and ours the same. */
const rounds = 20

/** Waits for a port number at 0x500, takes it away, and writes there; for ever. */
const obedient = `
  ba 00 00        ; mov $0,%dx
  a0 00 05        ; 1: mov 0x500,%al
  84 c0           ; test %al,%al
  74 f9           ; je 1b
  c6 06 00 05 00  ; movb $0,0x500
  88 c2           ; mov %al,%dl
  ee              ; out %al,(%dx)
  eb ef           ; jmp 1b
`
const ports = { device: 0x10, queue: 0x20, event: 0x30 } as const
type Name = keyof typeof ports

const median = (times: number[]): number => times.toSorted((a, b) => a - b)[times.length >> 1]!

/** Medians of the times from the order to the arrival, with a pause between two or without. */
async function measure(
  t: ExecutionContext,
  count: number,
  pauseMs: number | undefined,
): Promise<Record<Name, number>> {
  let arrived: () => void = () => undefined
  const arrive = () => arrived()
  const routes: Route[] = [
    { port: ports.device, device: { write: arrive } },
    { port: ports.queue, to: 'queue', onBatch: arrive },
    { port: ports.event, to: 'event', onEvent: arrive },
  ]
  using vm = machine(obedient, routes, real)
  const run = vm.run({ timeoutMs: 600_000 }).then((result) => result)
  const times: Record<Name, number[]> = { device: [], queue: [], event: [] }
  const once = async (name: Name): Promise<void> => {
    if (pauseMs !== undefined) await sleep(pauseMs)
    const arrival = new Promise<void>((resolve) => (arrived = resolve))
    const begin = performance.now()
    vm.memory.writeUint8(0x500, ports[name])
    await arrival
    times[name].push(performance.now() - begin)
  }
  const names = Object.keys(ports) as Name[]
  // In turn, so that what else the host does meets all of them.
  const together = pauseMs === undefined ? 10 : 1
  for (let done = 0; done < count; done += together)
    for (const name of names) for (let index = 0; index < together; index++) await once(name)
  vm.stop()
  t.is((await run).reason, 'stopped')
  const { device, queue, event } = times
  return { device: median(device), queue: median(queue), event: median(event) }
}

for (const [how, pauseMs] of [
  ['from time to time', 5],
  ['one after the other', undefined],
] as const) {
  kvmTest(
    `a lone write, ${how}, arrives within three round trips of a device`,
    async (t) => {
      // Other processes may hold up a thread; a wait of ours is there in every round.
      for (let round = 1; ; round++) {
        const { device, queue, event } = await measure(t, affordable(100), pauseMs)
        t.log(
          `device ${device.toFixed(3)} ms, queue ${queue.toFixed(3)} ms, event ${event.toFixed(3)} ms`,
        )
        if (Math.max(queue, event) > 3 * device && round < rounds) continue
        t.true(queue <= 3 * device, `queue: ${queue} > 3 * ${device}`)
        t.true(event <= 3 * device, `event: ${event} > 3 * ${device}`)
        return
      }
    },
    test.serial,
  )
}

/** Whether the handler came without a tick's help: a tick interrupts the guest, and is counted. */
function arrivesWithoutTick(listing: string, route: (arrived: () => void) => Route): boolean {
  let kicks = 0
  for (let attempt = 0; attempt < 1000 && kicks < Infinity; attempt++) {
    kicks = Infinity
    const routes: Route[] = [
      route(() => {
        kicks = Math.min(kicks, vm.counters().kicks)
        vm.stop()
      }),
      { port: 0x30, to: 'discard' },
    ]
    using vm: VirtualMachine = machine(listing, routes, real)
    vm.runSync({ timeoutMs: 300_000 })
    // A guest that had to wait for the processor may see a tick before its first exit.
    if (kicks === 0) return true
  }
  return false
}

// e6 20  out %al,$0x20 · e6 30  out %al,$0x30 · eb fe  jmp .
kvmTest(
  'under runSync() a queue is handed over at the exit itself',
  (t) => {
    t.true(arrivesWithoutTick('e6 20 eb fe ;', (onBatch) => ({ port: 0x20, to: 'queue', onBatch })))
  },
  test.serial,
)

kvmTest(
  'under runSync() a queue hands over each write by itself',
  (t) => {
    const lengths: number[] = []
    const onBatch = (batch: WriteBatch) => void lengths.push(batch.length)
    using vm = machine('e6 20 e6 20 e6 20 f4 ;', [{ port: 0x20, to: 'queue', onBatch }], real)
    vm.runSync()
    t.deepEqual(lengths, [1, 1, 1])
  },
  test.serial,
)

kvmTest(
  'under runSync() an event and a coalesced write are handed over at the next exit',
  (t) => {
    const listing = 'e6 20 e6 30 eb fe ;'
    t.true(arrivesWithoutTick(listing, (onEvent) => ({ port: 0x20, to: 'event', onEvent })))
    t.true(arrivesWithoutTick(listing, (onBatch) => ({ port: 0x20, to: 'coalesce', onBatch })))
  },
  test.serial,
)

for (const to of ['queue', 'coalesce', 'event'] as const) {
  kvmTest(
    `${to}: a flood rings a bell for many, not for each`,
    async (t) => {
      const count = affordable(20_000)
      for (let round = 1; ; round++) {
        const rung = await bells(t, to, count)
        // A guest without a processor lets its reader sleep, however often.
        if (rung >= count / 20 && round < rounds) continue
        t.true(rung < count / 20, `${rung}`)
        return
      }
    },
    test.serial,
  )
}

/** How many bells so many writes ring. */
async function bells(
  t: ExecutionContext,
  to: 'queue' | 'coalesce' | 'event',
  count: number,
): Promise<number> {
  let seen = 0
  const onBatch = (batch: WriteBatch) => void (seen += batch.length)
  const onEvent = (events: number) => void (seen += events)
  const route: Route = to === 'event' ? { port: 0x200, to, onEvent } : { port: 0x200, to, onBatch }
  using vm = machine(guests.count, [route])
  vm.memory.writeUint32(0x500, count)
  const before = vm.counters().doorbells
  await vm.run({ timeoutMs: 600_000 })
  const rung = vm.counters().doorbells - before
  t.log(`${rung} bells for ${seen} writes`)
  t.is(seen, count)
  return rung
}
