// What subscribers of diagnostics channels hear of machines.
import { AsyncLocalStorage } from 'node:async_hooks'
import { subscribe, tracingChannel, unsubscribe } from 'node:diagnostics_channel'

import {
  type BatchMessage,
  type RunMessage,
  type VirtualMachine,
  type WriteBatch,
  guests,
} from '../src/index.ts'
import { kvmTest } from './helpers/kvm.ts'
import { machine, vmError } from './helpers/machine.ts'

const runs = tracingChannel<object, RunMessage>('vmexit:run')

type Heard = [event: string, message: RunMessage, result: string | undefined, error: unknown]

/** What is published of a machine's runs while `during` is at work. */
async function heard(vm: VirtualMachine, during: () => unknown): Promise<Heard[]> {
  const all: Heard[] = []
  const note =
    (event: string) =>
    (message: RunMessage): void => {
      const { result, error } = message
      if (message.machine === vm) all.push([event, message, result?.reason, error])
    }
  const subscribers = {
    start: note('start'),
    end: note('end'),
    asyncStart: note('asyncStart'),
    asyncEnd: note('asyncEnd'),
    error: note('error'),
  }
  runs.subscribe(subscribers)
  try {
    await during()
  } finally {
    runs.unsubscribe(subscribers)
  }
  return all
}

const names = (all: readonly Heard[]): string[] => all.map(([event]) => event)

kvmTest('runSync() is published from its start to its end', async (t) => {
  using vm = machine('f4 ;')
  const all = await heard(vm, () => vm.runSync())
  t.deepEqual(names(all), ['start', 'end'])
  t.deepEqual(
    all.map(([, { kind }, result]) => [kind, result]),
    [
      ['runSync', undefined],
      ['runSync', 'hlt'],
    ],
  )
  t.is(all[0]![1], all[1]![1])
})

kvmTest('run() is published until its promise is settled', async (t) => {
  using vm = machine('f4 ;')
  const all = await heard(vm, () => vm.run())
  t.deepEqual(names(all), ['start', 'end', 'asyncStart', 'asyncEnd'])
  t.deepEqual(
    all.map(([, { kind }, result]) => [kind, result]),
    [undefined, undefined, 'hlt', 'hlt'].map((result) => ['run', result]),
  )
})

kvmTest('a run that fails is published with its error', async (t) => {
  const why = new Error('of the device')
  const write = (): never => {
    throw why
  }
  const port = { port: 0x200, device: { write } }
  using vm = machine(guests.numbered, [port])
  vm.memory.writeUint32(0x500, 1)
  const expected = vmError('ERR_HANDLER')
  const here = await heard(vm, () => t.throws(() => vm.runSync(), expected))
  t.deepEqual(names(here), ['start', 'error', 'end'])
  t.is((here[1]![3] as Error).cause, why)
  vm.setRegisters({ rip: 0n })
  const there = await heard(vm, () => t.throwsAsync(vm.run(), expected))
  t.deepEqual(names(there), ['start', 'end', 'error', 'asyncStart', 'asyncEnd'])
  const wrong = { timeoutMs: -1 }
  const refused = await heard(vm, () => t.throwsAsync(vm.run(wrong), vmError('ERR_INVALID_OPTION')))
  t.deepEqual(names(refused), ['start', 'error', 'asyncStart', 'asyncEnd', 'end'])
})

kvmTest('a machine that is closed under a run is published as an error', async (t) => {
  const vm = machine('eb fe ;')
  const all = await heard(vm, async () => {
    const run = vm.run()
    vm.close()
    await t.throwsAsync(run, vmError('ERR_VM_CLOSED'))
  })
  t.deepEqual(names(all), ['start', 'end', 'error', 'asyncStart', 'asyncEnd'])
})

kvmTest('a store that is bound to the start is seen by handlers', async (t) => {
  const storage = new AsyncLocalStorage<object>()
  runs.start.bindStore(storage, (message) => message)
  t.teardown(() => runs.start.unbindStore(storage))
  const seen: unknown[] = []
  const write = (): void => void seen.push((storage.getStore() as RunMessage | undefined)?.kind)
  using vm = machine(guests.numbered, [{ port: 0x200, device: { write } }])
  vm.memory.writeUint32(0x500, 1)
  vm.runSync()
  vm.setRegisters({ rip: 0n })
  await vm.run()
  t.deepEqual(seen, ['runSync', 'run'])
})

for (const to of ['queue', 'coalesce', 'event'] as const) {
  kvmTest(`batches of a route to '${to}' are published before they are delivered`, async (t) => {
    const order: [who: string, writes: number][] = []
    const count = (batch: WriteBatch | number): number =>
      typeof batch === 'number' ? batch : batch.length
    const deliver = (batch: WriteBatch | number): void => void order.push(['route', count(batch)])
    const target = to === 'event' ? { to, onEvent: deliver } : { to, onBatch: deliver }
    using vm = machine(guests.numbered, [{ port: 0x200, ...target }])
    vm.memory.writeUint32(0x500, 20)
    const listener = (message: unknown): void => {
      const { machine: whose, route, batch } = message as BatchMessage
      if (whose === vm) order.push([`channel, route ${route}`, count(batch)])
    }
    subscribe('vmexit:batch', listener)
    t.teardown(() => unsubscribe('vmexit:batch', listener))
    await vm.run()
    const told = order.filter(([who]) => who === 'channel, route 0')
    t.is(
      told.reduce((sum, [, writes]) => sum + writes, 0),
      20,
    )
    t.deepEqual(
      order.map(([who]) => who),
      told.flatMap(() => ['channel, route 0', 'route']),
    )
    t.deepEqual(
      told.map(([, writes]) => writes),
      order.filter(([who]) => who === 'route').map(([, writes]) => writes),
    )
  })
}
