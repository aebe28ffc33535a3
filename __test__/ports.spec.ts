// Console ports: the guest is a driver of a few instructions.
import { setTimeout as sleep } from 'node:timers/promises'

import test from 'ava'

import { VirtualMachine, guests } from '../src/index.ts'
import { until } from './fixtures/until.ts'
import { echo, flood, heardOf, portMachine } from './fixtures/virtio.ts'
import { kvmTest } from './helpers/kvm.ts'
import { vmError } from './helpers/machine.ts'

/** What a stream gives, as text. */
function texts(stream: NodeJS.ReadableStream): { readonly text: string } {
  const heard = { text: '' }
  stream.on('data', (bytes: Buffer) => (heard.text += bytes.toString()))
  return heard
}

for (const [what, ports, key] of [
  ['a named port', ['agent', 'other'], 'agent'],
  ['the console', [], 0],
] as const) {
  kvmTest(`bytes of ${what} go both ways`, async (t) => {
    using vm = portMachine(echo, ports)
    t.deepEqual([...vm.ports.keys()], [0, ...ports])
    const port = vm.ports.get(key)!
    t.is(vm.ports.get(key), port)
    const heard = texts(port)
    port.write('written before the run, ')
    const run = vm.run({ timeoutMs: 300_000 })
    port.write('and after its beginning')
    t.true(await until(() => heard.text.endsWith('beginning')))
    t.is(heard.text, 'written before the run, and after its beginning')
    if (ports.length > 0) {
      const told = heardOf(vm).map((bytes) => Buffer.from(bytes).toString('latin1'))
      t.true(told.includes('\x01\0\0\0\x07\0\x01\0agent'))
      t.true(told.includes('\x01\0\0\0\x06\0\x01\0'))
    }
    vm.stop()
    t.is((await run).reason, 'stopped')
    vm.close()
    t.true(await until(() => port.readableEnded))
  })
}

kvmTest('many bytes arrive whole, and in their order', async (t) => {
  using vm = portMachine(echo, ['agent'])
  const port = vm.ports.get('agent')!
  const run = vm.run({ timeoutMs: 300_000 })
  const sent = Buffer.from(Array.from({ length: 300_000 }, (_, index) => index % 251))
  const got: Buffer[] = []
  port.on('data', (bytes: Buffer) => got.push(bytes))
  for (let at = 0; at < sent.length; at += 50_000) port.write(sent.subarray(at, at + 50_000))
  await until(() => got.reduce((sum, { length }) => sum + length, 0) >= sent.length)
  t.true(Buffer.concat(got).equals(sent))
  vm.stop()
  await run
})

kvmTest('a guest whose port nobody reads waits, and goes on when it is read', async (t) => {
  using vm = portMachine(flood, ['agent'], { sends: 4096 })
  const port = vm.ports.get('agent')!
  const run = vm.run({ timeoutMs: 300_000 })
  await sleep(1000)
  let count = 0
  port.on('data', ({ length }: Buffer) => (count += length))
  port.pause()
  await sleep(500)
  const before = port.readableLength
  // What waits in the stream is a piece of what waits before it.
  t.true(before <= 64 * 1024 + 4096, `${before}`)
  port.resume()
  t.true(await until(() => count > 2_000_000))
  vm.stop()
  await run
})

kvmTest('a console that nobody reads stops no guest', async (t) => {
  using vm = portMachine(flood, [], { sends: 4096 })
  const run = vm.run({ timeoutMs: 300_000 })
  const used = (): number => vm.memory.readUint16(0x3_6002)
  t.true(await until(() => used() > 100))
  const heard = texts(vm.ports.get(0)!)
  t.true(await until(() => heard.text.length > 200_000))
  vm.stop()
  await run
})

kvmTest('a guest that does not read makes the writer wait', async (t) => {
  using vm = portMachine(echo, ['agent'], { receives: false })
  const port = vm.ports.get('agent')!
  const run = vm.run({ timeoutMs: 300_000 })
  let taken = 0
  for (let count = 0; count < 100; count++) port.write(Buffer.alloc(4096), () => taken++)
  await until(() => taken === 16)
  await sleep(300)
  t.is(taken, 16)
  t.true(port.writableNeedDrain)
  const errors: unknown[] = []
  port.on('error', (error) => errors.push(error))
  vm.close()
  await t.throwsAsync(run, vmError('ERR_VM_CLOSED'))
  await until(() => port.destroyed)
  t.true(port.destroyed)
})

kvmTest('after destroy() what the guest sends goes nowhere', async (t) => {
  using vm = portMachine(flood, ['agent'], { sends: 4096 })
  const port = vm.ports.get('agent')!
  const run = vm.run({ timeoutMs: 300_000 })
  port.destroy()
  const used = (): number => vm.memory.readUint16(0x3_6002)
  t.true(await until(() => used() > 100))
  // The guest has heard it: port 1 is not open.
  const told = (): string[] => heardOf(vm).map((bytes) => Buffer.from(bytes).toString('latin1'))
  t.false(told().includes('\x01\0\0\0\x06\0\x01\0'))
  vm.stop()
  await run
})

kvmTest('a chunk that is no bytes is an error of the stream', async (t) => {
  using vm = portMachine(echo, ['agent'])
  const port = vm.ports.get('agent')!
  const error = new Promise<Error>((resolve) => port.once('error', resolve))
  t.throws(() => port.write(7 as never), { code: 'ERR_INVALID_ARG_TYPE' })
  port.destroy(new Error('mine'))
  t.is((await error).message, 'mine')
  using other = portMachine(echo, [])
  t.throws(() => other.runSync(), vmError('ERR_ASYNC_HANDLER', /ports .* use run\(\)/))
})

kvmTest('a reader holds the process, and a port that nobody reads does not', async (t) => {
  using vm = portMachine(echo, ['agent'])
  const port = vm.ports.get('agent')!
  void vm.run()
  port.write('x')
  // Nothing else refers to the run: the loop waits for the port.
  for await (const bytes of port) {
    t.is(String(bytes), 'x')
    break
  }
  t.false(port.destroyed)
  port.write('y')
  const [again] = (await new Promise((resolve) => port.once('data', (...all) => resolve(all)))) as [
    Buffer,
  ]
  t.is(String(again), 'y')
})

kvmTest('a fork has ports of its own, with the bytes that waited', async (t) => {
  using vm = portMachine(echo, ['agent'], { receives: false })
  const run = vm.run({ timeoutMs: 300_000 })
  vm.ports.get('agent')!.write('for the guest')
  // It has said what it has to say.
  await until(() => heardOf(vm).length >= 3)
  vm.stop()
  await run
  using base = vm.snapshot()
  t.deepEqual(base.description.ports, ['agent'])
  using fork = new VirtualMachine({ snapshot: base })
  t.deepEqual([...fork.ports.keys()], [0, 'agent'])
  t.not(fork.ports.get('agent'), vm.ports.get('agent'))
  for (const each of [fork, vm]) {
    const heard = texts(each.ports.get('agent')!)
    // The guest offers its buffer.
    each.memory.writeUint16(0x3_1002, 1)
    const going = each.run({ timeoutMs: 300_000 })
    each.ports.get('agent')!.write(', and more')
    t.true(await until(() => heard.text === 'for the guest, and more'), heard.text)
    each.stop()
    await going
  }
})

test('wrong names of ports are refused', (t) => {
  const base = { pc: true, mode: 'long', memoryBytes: 2 ** 21, payload: guests.hello } as const
  const wrong: [ports: unknown, RegExp][] = [
    ['agent', /ports must be an array/],
    [[1], /ports\[0\] must be a string/],
    [[''], /ports\[0\] must be up to 63 letters/],
    [['../x'], /ports\[0\] must be up to 63 letters/],
    [['a b'], /ports\[0\] must be up to 63 letters/],
    [['x'.repeat(64)], /ports\[0\] must be up to 63 letters/],
    [['agent', 'agent'], /ports\[1\] is named as ports\[0\] is, 'agent'/],
  ]
  for (const [ports, message] of wrong) {
    const options = { ...base, ports } as never
    t.throws(() => new VirtualMachine(options), vmError('ERR_INVALID_OPTION', message))
  }
  const ports = Array.from({ length: 16 }, (_, index) => `p${index}`)
  t.throws(() => new VirtualMachine({ ...base, ports }), vmError('ERR_LIMIT', /at most 15/))
})

kvmTest('ports need a PC, and without them there are none', (t) => {
  const base = { mode: 'long', payload: guests.hello } as const
  t.throws(
    () => new VirtualMachine({ ...base, ports: [] }),
    vmError('ERR_INVALID_OPTION', /ports needs pc: true/),
  )
  using vm = new VirtualMachine({ ...base, pc: true })
  t.is(vm.ports.size, 0)
})
