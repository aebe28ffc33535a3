// What close() ends and frees, what a run keeps from being changed meanwhile, and what is left
// afterwards.
import { setImmediate as turn, setTimeout as sleep } from 'node:timers/promises'
import { inspect } from 'node:util'

import { type Route, type VirtualMachine, guests } from '../src/index.ts'
import { native } from '../src/native/native.ts'
import type { NativeMachine } from '../src/native/seam.ts'
import { serialTest, serialTestBoth } from './fixtures/serial.ts'
import { until } from './fixtures/until.ts'
import { machine, vmError } from './helpers/machine.ts'
import { affordable } from './helpers/speed.ts'

/** Asks every kind of handler once, then spins. */
const askAll = `
  e4 10 ; in $0x10,%al
  e6 11 ; out %al,$0x11
  e4 20 ; in $0x20,%al
  e6 21 ; out %al,$0x21
  e6 e9 ; out %al,$0xe9
  eb fe ; jmp .
`

type Place = 'read' | 'write' | 'onExit, read' | 'onExit, write' | 'onData'
const places: Place[] = ['read', 'write', 'onExit, read', 'onExit, write', 'onData']

/** A machine whose handlers all call `asked`. */
function askedMachine(asked: (place: Place, vm: VirtualMachine) => void) {
  const holder: { vm?: VirtualMachine } = {}
  const ask = (place: Place): number => {
    asked(place, holder.vm!)
    return 1
  }
  const routes: Route[] = [
    { port: 0x10, device: { read: () => ask('read') } },
    { port: 0x11, device: { write: () => ask('write') } },
    { port: 0xe9, to: 'console', onData: () => ask('onData') },
  ]
  const vm = machine(askAll, routes)
  holder.vm = vm
  const onExit = ({ reason }: { reason: string }): number =>
    ask(reason === 'pio-in' ? 'onExit, read' : 'onExit, write')
  return { vm, onExit }
}

serialTest('close() while the guest spins', async (t) => {
  for (const delayMs of [undefined, 0, 30]) {
    const vm = machine(guests.spin)
    const run = vm.run()
    if (delayMs !== undefined) await sleep(delayMs)
    t.false(vm.closed)
    vm.close()
    t.true(vm.closed)
    t.false(vm.running)
    await t.throwsAsync(run, vmError('ERR_VM_CLOSED', /closed during the run/))
  }
})

serialTest('close() of a run that nobody waits for is no unhandled rejection', async (t) => {
  const vm = machine(guests.spin)
  void vm.run()
  vm.close()
  await sleep(10)
  t.true(vm.closed)
})

for (const place of places) {
  serialTestBoth(`close() from ${place}`, async (t, run) => {
    const asked: string[] = []
    const { vm, onExit } = askedMachine((at, self) => {
      asked.push(at)
      if (at !== place) return
      self.close()
      t.throws(() => self.memory.buffer, vmError('ERR_VM_CLOSED'))
      t.throws(() => self.memory.readUint8(0), vmError('ERR_VM_CLOSED'))
      t.throws(() => self.registers(), vmError('ERR_VM_CLOSED'))
    })
    t.is(vm.memory.buffer.byteLength, 2 * 1024 * 1024)
    await t.throwsAsync(run(vm, { onExit }), vmError('ERR_VM_CLOSED', /closed during the run/))
    await sleep(5)
    t.deepEqual(asked, places.slice(0, places.indexOf(place) + 1))
    t.true(vm.closed)
    t.false(vm.running)
  })

  serialTestBoth(
    `during a run, from ${place}, the vCPU is busy and the rest works`,
    async (t, run) => {
      let left = 1
      const { vm, onExit } = askedMachine((at, self) => {
        if (at !== place || left-- === 0) return
        const busy = vmError('ERR_VM_BUSY', /running/)
        t.true(self.running)
        t.throws(() => self.registers(), busy)
        t.throws(() => self.setRegisters({ rax: 1n }), busy)
        t.throws(() => self.specialRegisters(), busy)
        t.throws(() => self.setSpecialRegisters({ cr2: 1n }), busy)
        t.throws(() => self.reply(1), busy)
        t.throws(() => self.runSync(), busy)
        self.memory.writeUint32(0x1000, 0xfeed)
        t.is(self.memory.readUint32(0x1000), 0xfeed)
        t.is(new DataView(self.memory.buffer).getUint32(0x1000, true), 0xfeed)
        t.is(self.counters().exits.hlt, 0)
        self.stop()
      })
      t.is((await run(vm, { onExit })).reason, 'stopped')
      t.is(left, 0)
      t.is(vm.memory.readUint32(0x1000), 0xfeed)
      vm.setRegisters({ rax: 7n })
      t.is(vm.registers().rax, 7n)
      vm.close()
    },
  )
}

serialTest('run() during a run rejects with ERR_VM_BUSY, and the run goes on', async (t) => {
  using vm = machine(guests.spin)
  const run = vm.run()
  await t.throwsAsync(vm.run(), vmError('ERR_VM_BUSY', /running/))
  t.throws(() => vm.runSync(), vmError('ERR_VM_BUSY', /running/))
  t.throws(() => vm.registers(), vmError('ERR_VM_BUSY'))
  t.throws(() => vm.setRegisters({ rip: 0n }), vmError('ERR_VM_BUSY'))
  t.throws(() => vm.reply(1), vmError('ERR_VM_BUSY'))
  t.true(vm.running)
  vm.stop()
  t.is((await run).reason, 'stopped')
})

serialTest('after close() everything but stop(), counters() and close() fails', async (t) => {
  const vm = machine(guests.hello, [{ port: 0xe9, to: 'console' }])
  vm.runSync()
  const { exits } = vm.counters()
  vm.close()
  vm.close()
  vm[Symbol.dispose]()
  await vm[Symbol.asyncDispose]()
  vm.stop()
  t.true(vm.closed)
  t.false(vm.running)
  t.deepEqual(vm.counters().exits, exits)
  const calls: Record<string, () => unknown> = {
    runSync: () => vm.runSync(),
    registers: () => vm.registers(),
    setRegisters: () => vm.setRegisters({ rax: 1n }),
    specialRegisters: () => vm.specialRegisters(),
    setSpecialRegisters: () => vm.setSpecialRegisters({ cr2: 1n }),
    'vcpus[0].registers': () => vm.vcpus[0].registers(),
    reply: () => vm.reply(1),
    'memory.read': () => vm.memory.read(0, 1),
    'memory.read of nothing': () => vm.memory.read(0, 0),
    'memory.write': () => vm.memory.write(0, new Uint8Array(1)),
    'memory.readUint64': () => vm.memory.readUint64(0),
    'memory.writeUint8': () => vm.memory.writeUint8(0, 1),
    'memory.buffer': () => vm.memory.buffer,
  }
  for (const [name, call] of Object.entries(calls)) t.throws(call, vmError('ERR_VM_CLOSED'), name)
  await t.throwsAsync(vm.run(), vmError('ERR_VM_CLOSED'))
  const aborted = vm.run({ signal: AbortSignal.abort() })
  await t.throwsAsync(aborted, vmError('ERR_VM_CLOSED'))
})

serialTest('using and await using close the machine, a running one too', async (t) => {
  const kept: VirtualMachine[] = []
  {
    using vm = machine(guests.hello)
    kept.push(vm)
    t.false(vm.closed)
  }
  let run: Promise<unknown> | undefined
  {
    await using vm = machine(guests.spin)
    kept.push(vm)
    run = vm.run()
    await turn()
  }
  await t.throwsAsync(run, vmError('ERR_VM_CLOSED'))
  t.deepEqual(
    kept.map(({ closed }) => closed),
    [true, true],
  )
  t.throws(
    () => {
      using vm = machine(guests.hello)
      kept.push(vm)
      throw new Error('out of the block')
    },
    { message: 'out of the block' },
  )
  t.true(kept.at(-1)?.closed)
})

serialTest('close() empties the buffer; views of it reach nothing else', async (t) => {
  const vm = machine(guests.spin)
  const { buffer } = vm.memory
  t.is(vm.memory.buffer, buffer)
  const bytes = new Uint8Array(buffer)
  const view = new DataView(buffer, 16, 16)
  bytes[0x1000] = 9
  t.is(vm.memory.readUint8(0x1000), 9)
  void vm.run()
  await turn()
  vm.close()
  t.is(buffer.byteLength, 2 * 1024 * 1024)
  t.true(Buffer.from(buffer).equals(Buffer.alloc(buffer.byteLength)))
  t.throws(() => vm.memory.buffer, vmError('ERR_VM_CLOSED'))
  // It is memory like any other from here on.
  bytes.fill(7)
  t.is(view.getUint32(0), 0x0707_0707)
  using other = machine(guests.spin)
  t.is(other.memory.readUint16(0), 0xfeeb)
})

serialTest('a buffer that somebody tried to move elsewhere', async (t) => {
  const vm = machine(guests.spin)
  const { buffer } = vm.memory
  try {
    structuredClone(buffer, { transfer: [buffer] })
  } catch (error) {
    t.is((error as DOMException).name, 'DataCloneError')
  }
  t.is((await vm.run({ timeoutMs: 5 })).reason, 'timeout')
  t.is(vm.memory.readUint16(0), 0xfeeb)
  vm.close()
  t.is(buffer.byteLength, 2 * 1024 * 1024)
})

// Two consoles hold text: when one handler closes the machine, the other must not be called any
// more.
const twoTexts = `
  b0 41 ; mov $0x41,%al
  e6 e9 ; out %al,$0xe9
  e6 ea ; out %al,$0xea
`
for (const [when, listing] of Object.entries({
  'at its end': `${twoTexts} f4 ; hlt`,
  meanwhile: `${twoTexts} eb fe ; jmp .`,
})) {
  serialTestBoth(`after close() no handler gets the text left ${when}`, async (t, run) => {
    const called: string[] = []
    const holder: { vm?: VirtualMachine } = {}
    const vm = machine(listing, [
      {
        port: 0xe9,
        to: 'console',
        onData() {
          holder.vm?.close()
          called.push('first')
        },
      },
      { port: 0xea, to: 'console', onData: () => called.push('second') },
    ])
    holder.vm = vm
    await t.throwsAsync(run(vm), vmError('ERR_VM_CLOSED'))
    await sleep(5)
    t.deepEqual(called, ['first'])
  })
}

serialTest('after close() no handler is called, and late promises do nothing', async (t) => {
  let calls = 0
  const late: ((value: number) => void)[] = []
  const device = {
    read(): number | Promise<number> {
      if (++calls < 50) return 0
      return new Promise<number>((resolve) => late.push(resolve))
    },
  }
  const poll = `
    e4 10 ; 1: in $0x10,%al
    eb fc ; jmp 1b
  `
  const vm = machine(poll, [{ port: 0x10, device }])
  const run = vm.run()
  t.true(await until(() => calls === 50))
  vm.close()
  await t.throwsAsync(run, vmError('ERR_VM_CLOSED'))
  t.is(late.length, 1)
  for (const resolve of late) resolve(1)
  await sleep(20)
  t.is(calls, 50)
})

serialTest('close() at random moments of a guest that asks all the time', async (t) => {
  for (let index = 0; index < affordable(60); index++) {
    let calls = 0
    const routes: Route[] = [
      { port: 0x61, device: { read: async () => ++calls } },
      { port: 0x62, device: { write: () => void calls++ } },
    ]
    const vm = machine(guests.ask, routes)
    const run = vm.run()
    t.true(await until(() => calls >= index % 12))
    vm.close()
    const before = calls
    await t.throwsAsync(run, vmError('ERR_VM_CLOSED'))
    await turn()
    t.is(calls, before)
  }
})

serialTestBoth("one machine's handler closes another that runs", async (t, run) => {
  const other = machine(guests.spin)
  const cut = other.run()
  using vm = machine(guests.hello, [{ port: 0xe9, device: { write: () => other.close() } }])
  t.is((await run(vm)).reason, 'hlt')
  await t.throwsAsync(cut, vmError('ERR_VM_CLOSED'))
})

serialTest('a machine that a fault of our own has closed says so', (t) => {
  const { NativeMachine } = native
  let inside: NativeMachine | undefined
  const create = (config: Parameters<typeof NativeMachine.create>[0]) => {
    const made = NativeMachine.create(config)
    if (!('code' in made)) inside = made
    return made
  }
  Object.assign(native, { NativeMachine: { create } })
  const vm = machine(guests.hello, [], { serial: true })
  Object.assign(native, { NativeMachine })
  t.false(vm.closed)
  // As the seam does after a panic, in a call other than a run.
  inside?.close()
  t.true(vm.closed)
  t.regex(inspect(vm), /state: 'closed'/)
  t.throws(() => vm.serial, vmError('ERR_VM_CLOSED'))
  t.throws(() => vm.runSync(), vmError('ERR_VM_CLOSED'))
  vm.close()
})
