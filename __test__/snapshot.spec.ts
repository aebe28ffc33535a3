// A machine as a value: taken, gone back to, and gone on from elsewhere.
import test from 'ava'
import { type Device, type Route, Snapshot, VirtualMachine, guests } from '../src/index.ts'
import { code, machine, vmError } from './helpers/machine.ts'

/** Counts in memory and in EBX, and writes the count to port 0x200. */
const COUNTER = `
  ff c3                   ; inc %ebx
  89 1c 25 00 05 00 00    ; mov %ebx,0x500
  89 d8                   ; mov %ebx,%eax
  66 ba 00 02             ; mov $0x200,%dx
  ef                      ; out %eax,%dx
  eb ee                   ; jmp .-16
`

const counting = (routes: readonly Route[] = []) => machine(COUNTER, routes)
const written = (vm: VirtualMachine) => {
  const { exit } = vm.runSync()
  return exit?.reason === 'pio-out' ? Number(exit.value) : undefined
}

test('a machine goes back to a snapshot as often as it likes', (t) => {
  using vm = counting()
  t.deepEqual([written(vm), written(vm)], [1, 2])
  using base = vm.snapshot()
  t.is(base.registers.rbx, 2n)
  for (let round = 0; round < 3; round++) {
    t.deepEqual([written(vm), written(vm), vm.memory.readUint32(0x500)], [3, 4, 4])
    vm.restore(base)
    t.is(vm.memory.readUint32(0x500), 2)
    t.deepEqual(vm.registers(), base.registers)
  }
})

test('what the host wrote is undone, also through the buffer', (t) => {
  using vm = counting()
  vm.memory.writeUint32(0x3000, 1)
  using base = vm.snapshot()
  vm.memory.writeUint32(0x3000, 2)
  vm.memory.write(0x1f_ffff, Uint8Array.of(9))
  vm.restore(base)
  t.deepEqual([vm.memory.readUint32(0x3000), vm.memory.readUint8(0x1f_ffff)], [1, 0])
  const bytes = new Uint8Array(vm.memory.buffer)
  bytes[0x3000] = 7
  bytes[0x9_0000] = 8
  vm.restore(base)
  t.deepEqual([bytes[0x3000], bytes[0x9_0000]], [1, 0])
  t.is(vm.memory.readUint32(0x3000), 1)
})

test('a further machine goes on from a snapshot, which may be closed', (t) => {
  using vm = counting()
  written(vm)
  const base = vm.snapshot()
  using one = new VirtualMachine({ snapshot: base })
  using two = new VirtualMachine({ snapshot: base })
  base.close()
  t.deepEqual([written(one), written(one), written(two), written(vm)], [2, 3, 2, 2])
  vm.close()
  t.is(written(two), 3)
})

test('a fork has the handlers of its machine, unless it gets others for their claims', (t) => {
  const seen: [string, number | bigint][] = []
  const device = (name: string): Device => ({
    write: (_at, _size, value) => seen.push([name, value]),
  })
  const image = code(`
    b0 07 ; mov $7,%al
    e6 10 ; out %al,$0x10
    e6 20 ; out %al,$0x20
    f4    ; hlt
  `)
  using vm = new VirtualMachine({
    mode: 'long',
    payload: { image },
    routes: [{ port: 0x10, device: device('first') }],
  })
  vm.attach({ port: 0x20, device: device('attached') })
  using same = vm.fork()
  using other = vm.fork({ routes: [{ port: 0x20, device: device('other') }] })
  for (const one of [vm, same, other]) t.is(one.runSync().reason, 'hlt')
  t.deepEqual(seen, [
    ['first', 7],
    ['attached', 7],
    ['first', 7],
    ['attached', 7],
    ['first', 7],
    ['other', 7],
  ])
})

class Register implements Device {
  value = 0
  read() {
    return this.value
  }
  write(_offset: number, _size: number, value: number | bigint) {
    this.value = Number(value)
  }
  save() {
    return { value: this.value }
  }
  restore(state: unknown) {
    this.value = (state as { value: number }).value
  }
}

test('a device that saves its state goes back, and in a further machine another one goes on', (t) => {
  const device = new Register()
  const plain: Device = { read: () => 0 }
  using vm = machine(COUNTER, [
    { port: 0x200, device },
    { port: 0x300, length: 2, device: plain },
    { gpa: 0x4000_0000, length: 8, device: plain },
  ])
  vm.runSync({ timeoutMs: 1 })
  const { value } = device
  using base = vm.snapshot()
  t.deepEqual(base.stateless, ['port 0x300', 'gpa 0x40000000'])
  device.value = -1
  vm.restore(base)
  t.is(device.value, value)
  t.throws(() => vm.fork(), vmError('ERR_SNAPSHOT', /the device at port 0x200 saves its state/))
  const another = new Register()
  using fork = vm.fork({ routes: [{ port: 0x200, device: another }] })
  t.is(another.value, value)
  // A busy host gives the guest no turn within a millisecond, now and then.
  while (another.value === value) fork.runSync({ timeoutMs: 1 })
  t.true(another.value > value)
  t.is(device.value, value)
})

test('what does not fit is refused, and named', (t) => {
  using vm = counting([{ port: 0x200, to: 'count' }])
  using base = vm.snapshot()
  using larger = machine(COUNTER, [{ port: 0x200, to: 'count' }], { memoryBytes: 4 << 20 })
  t.throws(() => larger.restore(base), vmError('ERR_SNAPSHOT', /memoryBytes .*2097152.*4194304/))
  using bare = counting()
  t.throws(() => bare.restore(base), vmError('ERR_SNAPSHOT', /port 0x200/))
  const routes: Route[] = [{ port: 0x201, to: 'count' }]
  t.throws(() => vm.fork({ routes }), vmError('ERR_SNAPSHOT', /port 0x201/))
  t.throws(() => vm.restore({} as Snapshot), vmError('ERR_INVALID_OPTION', /must be a Snapshot/))
  t.throws(
    () => new VirtualMachine({ snapshot: undefined as unknown as Snapshot }),
    vmError('ERR_INVALID_OPTION', /snapshot/),
  )
})

test('a closed snapshot is of no use any more, a closed machine has none', (t) => {
  const vm = counting()
  const base = vm.snapshot()
  base.close()
  base.close()
  t.throws(() => vm.restore(base), vmError('ERR_SNAPSHOT', /closed/))
  t.throws(() => new VirtualMachine({ snapshot: base }), vmError('ERR_SNAPSHOT', /closed/))
  t.throws(() => base.registers, vmError('ERR_SNAPSHOT', /closed/))
  t.throws(() => [...base.diff(base)], vmError('ERR_SNAPSHOT', /closed/))
  const open = vm.snapshot()
  vm.close()
  t.throws(() => vm.snapshot(), vmError('ERR_VM_CLOSED'))
  t.throws(() => vm.restore(open), vmError('ERR_VM_CLOSED'))
  using later = new VirtualMachine({ snapshot: open })
  t.is(written(later), 1)
})

test('a running machine gives no snapshot and takes none', async (t) => {
  using vm = machine(guests.spin)
  using base = vm.snapshot()
  const run = vm.run()
  t.throws(() => vm.snapshot(), vmError('ERR_VM_BUSY'))
  t.throws(() => vm.restore(base), vmError('ERR_VM_BUSY'))
  t.throws(() => vm.fork(), vmError('ERR_VM_BUSY'))
  vm.stop()
  await run
  const inHandler = (): void => {
    t.throws(() => asks.restore(base), vmError('ERR_VM_BUSY'))
    t.throws(() => asks.snapshot(), vmError('ERR_VM_BUSY'))
  }
  using asks = machine(guests.hello, [{ port: 0xe9, to: 'console', onData: inHandler }])
  asks.runSync()
  await asks.run()
})

test('two snapshots differ where something was written', (t) => {
  using vm = counting()
  using before = vm.snapshot()
  vm.memory.writeUint32(0x10_0004, 0xabcd)
  using after = vm.snapshot()
  const [one, ...rest] = before.diff(after)
  t.is(rest.length, 0)
  t.is(one?.gpa, 0x10_0000)
  t.deepEqual([one?.before.length, one?.after.length], [4096, 4096])
  t.deepEqual([one?.before[4], one?.after[4], one?.after[5]], [0, 0xcd, 0xab])
  t.is([...after.diff(after)].length, 0)
})

test('text and posted writes that were not handed over are part of it', async (t) => {
  const image = code(`
    b0 41 ; mov $'A',%al
    e6 10 ; out %al,$0x10
    e6 20 ; out %al,$0x20
    f4    ; hlt
  `)
  using vm = new VirtualMachine({
    mode: 'long',
    payload: { image },
    routes: [
      { port: 0x10, to: 'console' },
      { port: 0x20, to: 'queue', onBatch: (batch) => batches.push(batch.length) },
    ],
  })
  const batches: number[] = []
  using base = vm.snapshot()
  t.is(vm.runSync().outputText, 'A')
  vm.restore(base)
  t.is(vm.runSync().outputText, 'A')
  t.deepEqual(batches, [1, 1])
})
