import { readdirSync } from 'node:fs'

import { type AttachedRoute, type Route, VirtualMachine, guests } from '../src/index.ts'
import { kvmTest } from './helpers/kvm.ts'
import { randomBelow } from './helpers/random.ts'
import { affordable } from './helpers/speed.ts'

const ports = [0x10, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17]
const unclaimed = 0x5a
const results = 0x600

/** For each port: mov al, port; out port, al; in al, port; mov [results + index], al. Then hlt. */
const image = Uint8Array.from([
  ...ports.flatMap((port, index) => [0xb0, port, 0xe6, port, 0xe4, port, 0xa2, index, 0x06]),
  0xf4,
])

/** What a route shall do, and what it has seen. */
interface Modelled {
  readonly route: Route
  readonly port: number
  readonly read: number
  readonly attached: AttachedRoute
  expected: number
  seen: () => number
  closed: () => number
}

const kinds = [
  ...['console', 'constant', 'discard', 'count', 'stop', 'device'],
  ...['queue', 'coalesce', 'event', 'text'],
] as const

function routeOf(port: number, kind: (typeof kinds)[number]) {
  let [seen, closed] = [0, 0]
  const device = {
    read: () => 0x33,
    write: () => void seen++,
    close: () => void closed++,
  }
  const onBatch = ({ length }: { length: number }): void => void (seen += length)
  const onEvent = (count: number): void => void (seen += count)
  const onData = ({ length }: { length: number }): void => void (seen += length)
  const routes: Record<(typeof kinds)[number], [Route, number]> = {
    console: [{ port, to: 'console' }, 0xff],
    text: [{ port, to: 'console', onData }, 0xff],
    constant: [{ port, to: 'constant', value: 0x77 }, 0x77],
    discard: [{ port, to: 'discard' }, 0xff],
    count: [{ port, to: 'count' }, 0xff],
    stop: [{ port, to: 'stop' }, 0xff],
    device: [{ port, device }, 0x33],
    queue: [{ port, to: 'queue', onBatch }, unclaimed],
    coalesce: [{ port, to: 'coalesce', onBatch, value: 0x44 }, 0x44],
    event: [{ port, to: 'event', onEvent }, unclaimed],
  }
  const [route, read] = routes[kind]
  return { route, read, seen: () => seen, closed: () => closed }
}

function attach(vm: VirtualMachine, port: number, kind: (typeof kinds)[number]): Modelled {
  const model = routeOf(port, kind)
  return { ...model, port, attached: vm.attach(model.route), expected: 0 }
}

kvmTest('routes come and go at random between runs, and do what they shall', async (t) => {
  const steps = process.env['VMEXIT_SOAK'] ? 10_000 : affordable(600)
  const next = randomBelow(42)
  using vm = new VirtualMachine({ mode: 'real', payload: { image } })
  const there = new Map<number, Modelled>()
  const gone: Modelled[] = []
  let files = 0
  for (let step = 0; step < steps; step++) {
    const port = ports[next(ports.length)]!
    const old = there.get(port)
    const kind = kinds[next(kinds.length)]!
    if (old) {
      t.throws(() => vm.attach({ port, to: 'discard' }), { code: 'ERR_INVALID_OPTION' })
      old.attached[Symbol.dispose]()
      old.attached[Symbol.dispose]()
      there.delete(port)
      gone.push(old)
      t.is(old.closed(), old.read === 0x33 ? 1 : 0)
    }
    if (!old || next(2) === 0) there.set(port, attach(vm, port, kind))
    if (next(3) === 0) await runAll(t, vm, there, next(2) === 0)
    if (step === Math.floor(steps / 2)) files = readdirSync('/proc/self/fd').length
  }
  await runAll(t, vm, there, true)
  t.true(readdirSync('/proc/self/fd').length <= files + ports.length)
  for (const model of [...there.values(), ...gone]) {
    const { writes } = model.attached.counters()
    const isUncounted = model.route.to === 'coalesce' || model.route.to === 'event'
    if (!isUncounted) t.is(writes, model.expected, model.route.to)
    if ('device' in model.route || 'onBatch' in model.route) t.is(model.seen(), model.expected)
  }
  t.is(vm.counters().routes.length, there.size)
})

async function runAll(
  t: { is: (got: unknown, expected: unknown, message?: string) => void },
  vm: VirtualMachine,
  there: Map<number, Modelled>,
  sync: boolean,
): Promise<void> {
  vm.setRegisters({ rip: 0n })
  const onExit = (): number => unclaimed
  let reason = ''
  while (reason !== 'hlt') {
    const result = sync ? vm.runSync({ onExit }) : await vm.run({ onExit })
    reason = result.reason
    if (reason !== 'hlt') t.is(reason, 'exit-port')
  }
  for (const model of there.values()) model.expected += 1
  for (const [index, port] of ports.entries()) {
    const { read = unclaimed, route } = there.get(port) ?? {}
    t.is(vm.memory.readUint8(results + index), read, route?.to ?? 'nothing')
  }
}

kvmTest('only an idle machine lets routes come and go', async (t) => {
  const route = { port: 0x80, to: 'count' } as const
  const vm = new VirtualMachine({ mode: 'long', payload: guests.spin })
  const attached = vm.attach(route)
  const run = vm.run()
  t.throws(() => vm.attach({ ...route, port: 0x81 }), { code: 'ERR_VM_BUSY' })
  t.throws(() => attached[Symbol.dispose](), { code: 'ERR_VM_BUSY' })
  vm.stop()
  await run
  t.is(vm.counters().routes.length, 1)
  attached[Symbol.dispose]()
  t.is(vm.counters().routes.length, 0)
  const last = vm.attach(route)
  vm.close()
  t.notThrows(() => last[Symbol.dispose]())
  t.throws(() => vm.attach(route), { code: 'ERR_VM_CLOSED' })
})

kvmTest("a route over a PC's own device has its accesses until it is taken away", (t) => {
  // in al, 0x64; mov [0x600], al; in al, 0x60; mov [0x601], al; hlt
  const code = [0xe4, 0x64, 0xa2, 0x00, 0x06, 0xe4, 0x60, 0xa2, 0x01, 0x06, 0xf4]
  using vm = new VirtualMachine({
    mode: 'real',
    pc: true,
    irqchip: true,
    memoryBytes: 2 * 1024 * 1024,
    payload: { image: Uint8Array.from([...code.slice(0, -1), 0xe6, 0xf4, 0xf4]), loadGpa: 0x1000 },
    routes: [{ port: 0xf4, to: 'stop' }],
  })
  const run = (): number[] => {
    vm.setRegisters({ rip: 0x1000n })
    t.is(vm.runSync().reason, 'exit-port')
    return [...vm.memory.read(0x600, 2)]
  }
  const before = run()
  const route = vm.attach({ port: 0x60, device: { read: () => 0xab } })
  t.deepEqual(run(), [before[0]!, 0xab])
  route[Symbol.dispose]()
  t.is(run()[0], before[0])
})

kvmTest('a route whose device cannot be attached is not there', (t) => {
  using vm = new VirtualMachine({ mode: 'long', payload: guests.hello })
  const device = {
    read: () => 0,
    attach() {
      throw new Error('no')
    },
  }
  t.throws(() => vm.attach({ port: 0xe9, device }), { message: 'no' })
  t.is(vm.counters().routes.length, 0)
  using route = vm.attach({ port: 0xe9, to: 'count' })
  vm.runSync()
  t.is(route.counters().writes, 14)
})

kvmTest('a device on several routes is told when its last one goes', (t) => {
  using vm = new VirtualMachine({ mode: 'long', payload: guests.hello })
  const calls: string[] = []
  const device = {
    read: () => 0,
    attach: () => void calls.push('attach'),
    close: () => void calls.push('close'),
  }
  const [one, other] = [0x60, 0x70].map((port) => vm.attach({ port, device }))
  one![Symbol.dispose]()
  t.deepEqual(calls, ['attach'])
  other![Symbol.dispose]()
  t.deepEqual(calls, ['attach', 'close'])
})

kvmTest('a route that is attached is checked as those of the options are', (t) => {
  using vm = new VirtualMachine({ mode: 'long', payload: guests.hello })
  t.throws(() => vm.attach({ port: 0x60, to: 'nowhere' } as never), {
    code: 'ERR_INVALID_OPTION',
    message: /^route\.to must be one of/,
  })
})
