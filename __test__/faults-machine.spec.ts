// What a machine with a trap table is otherwise: a further run, a repaired guest, a table of its
// own, routes, snapshots, the command line.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import test from 'ava'

import { Snapshot, VirtualMachine, guests } from '../src/index.ts'
import { vmexit, vmexitJson } from './helpers/cli.ts'
import { elf } from './helpers/elf.ts'
import { kvmTest, kvmTestBoth } from './helpers/kvm.ts'
import { code, machine, vmError } from './helpers/machine.ts'

const timeoutMs = 300_000
const user = { privilege: 'user' } as const
/** Fails at 1, and writes to port 0x10 if that is repaired. */
const broken = '90 ; nop\n 0f 0b ; ud2\n e6 10 ; out %al,$0x10'
const folder = mkdtempSync(join(tmpdir(), 'vmexit-faults-'))
test.after.always(() => rmSync(folder, { recursive: true }))

kvmTestBoth('a further run tries again, and a repaired guest goes on', async (t, run) => {
  using vm = machine(broken, [], user)
  vm.setRegisters({ rax: 7n })
  const expected = { reason: 'fault', fault: { name: '#UD', rip: 1n }, exits: 1 }
  t.like(await run(vm), expected)
  t.like(await run(vm), expected)
  t.like(vm.registers(), { rip: 1n, rax: 7n })
  vm.memory.write(1, code('90 90 ; nop, twice'))
  t.like(await run(vm), { reason: 'pio-out', exit: { port: 0x10, value: 7 } })
})

kvmTest('a trap is after its instruction, and a further run goes on from there', (t) => {
  using vm = machine('cc ; int3\n e6 10 ; out %al,$0x10', [], user)
  t.like(vm.runSync({ timeoutMs }), { reason: 'fault', fault: { vector: 3, name: '#BP', rip: 1n } })
  t.like(vm.runSync({ timeoutMs }), { reason: 'pio-out', exit: { port: 0x10 } })
})

kvmTest('registers of the result are those of the fault, whatever comes after', (t) => {
  using vm = machine(broken, [], user)
  vm.setRegisters({ rbx: 5n })
  const result = vm.runSync({ timeoutMs })
  const cr3 = vm.specialRegisters().cr3
  vm.setRegisters({ rbx: 6n })
  vm.setSpecialRegisters({ cr3: 0n })
  t.like(result.registers, { rip: 1n, rbx: 5n })
  t.like(result.special, { cr3, cs: { selector: 0x23 }, ss: { selector: 0x1b } })
  t.regex(
    String(result),
    /^the guest had a fault that it does not handle \(#UD\); vCPU 0 is at RIP 0x1 /,
  )
})

kvmTest('an NMI ends a run, and so does the next one', (t) => {
  using vm = machine('eb fe ; jmp .', [], user)
  for (const _ of [1, 2]) {
    vm.nmi()
    t.like(vm.runSync({ timeoutMs }), { reason: 'fault', fault: { vector: 2, name: 'NMI' } })
  }
  t.is(vm.runSync({ timeoutMs: 5 }).reason, 'timeout')
})

kvmTest('the default: ring 3 of flat and ELF images with one vCPU', (t) => {
  const ends = (vm: VirtualMachine) => {
    using it = vm
    return it.runSync({ timeoutMs }).reason
  }
  const image = elf(64, code('0f 0b ; ud2'))
  t.is(ends(machine('0f 0b ; ud2', [], user)), 'fault')
  t.is(ends(new VirtualMachine({ ...user, payload: { image } })), 'fault')
  t.is(ends(new VirtualMachine({ ...user, faults: 'off', payload: { image } })), 'shutdown')
  t.is(ends(machine('0f 0b ; ud2', [], { ...user, faults: 'off' })), 'shutdown')
  t.is(ends(machine('0f 0b ; ud2')), 'shutdown')
  t.is(ends(machine('0f 0b ; ud2', [], { faults: 'report' })), 'fault')
})

kvmTest('real mode and several vCPUs have no trap table', (t) => {
  const refused = (options: object, message: RegExp) =>
    t.throws(() => machine('f4 ; hlt', [], options), vmError('ERR_INVALID_OPTION', message))
  refused({ mode: 'real', faults: 'report' }, /^faults 'report' needs mode .*, got mode 'real'$/)
  refused({ vcpus: 2, faults: 'report' }, /^faults 'report' needs vcpus: 1, .*, got 2$/)
  refused({ faults: 'both' as 'off' }, /^faults must be one of "report", "off", got "both"$/)
  using vm = machine('f4 ; hlt', [], { ...user, vcpus: 2 })
  t.is(vm.vcpus.length, 2)
})

kvmTest('a guest with a table of its own has its faults', (t) => {
  // lidt 0x100; ud2, and at 0x40 the handler: out %al,$0x10
  using vm = machine('0f 01 1c 25 00 01 00 00 ; lidt 0x100\n 0f 0b ; ud2', [], { faults: 'report' })
  vm.memory.write(0x40, code('e6 10 ; out %al,$0x10'))
  vm.memory.writeUint16(0x100, 16 * 7 - 1)
  vm.memory.writeUint64(0x102, 0x200n)
  vm.memory.writeUint64(0x200 + 16 * 6, 0x0000_8e00_0008_0040n)
  t.like(vm.runSync({ timeoutMs }), { reason: 'pio-out', exit: { port: 0x10 } })
})

kvmTest('the port of the stubs is a port as any other', (t) => {
  const seen: number[] = []
  const device = {
    write: (_: number, __: number, value: number | bigint) => void seen.push(Number(value)),
  }
  using vm = machine(
    'b0 2a ; mov $42,%al\n e6 fa ; out %al,$0xfa\n 0f 0b ; ud2',
    [{ port: 0xfa, device }],
    user,
  )
  t.like(vm.runSync({ timeoutMs }), { reason: 'fault', fault: { name: '#UD', rip: 4n } })
  t.deepEqual(seen, [42])
  using plain = machine('b0 2a ; mov $42,%al\n e6 fa ; out %al,$0xfa', [], user)
  t.like(plain.runSync({ timeoutMs }), { reason: 'pio-out', exit: { port: 0xfa, value: 42 } })
})

kvmTest('what the kernel answers cannot have it', (t) => {
  const routes = [
    { port: 0xfa, to: 'event', onEvent: () => undefined },
    { port: 0xf0, length: 16, to: 'coalesce', onBatch: () => undefined },
  ] as const
  const message = / overlaps port 0xfa, to which the trap table writes/
  using vm = machine('f4 ; hlt', [], user)
  for (const route of routes) {
    t.throws(() => machine('f4 ; hlt', [route], user), vmError('ERR_INVALID_OPTION', message))
    t.throws(() => vm.attach(route), vmError('ERR_INVALID_OPTION', message))
    using off = machine('f4 ; hlt', [route], { ...user, faults: 'off' })
    t.is(off.vcpus.length, 1)
  }
})

kvmTest('forks and snapshots, in a file too, have the table', async (t) => {
  using vm = machine(broken, [], user)
  using base = vm.snapshot()
  const expected = { reason: 'fault', fault: { name: '#UD', rip: 1n } }
  t.is(base.description.faults, 'report')
  using fork = vm.fork()
  t.like(fork.runSync({ timeoutMs }), expected)
  for (let round = 0; round < 3; round++) {
    t.like(vm.runSync({ timeoutMs }), expected)
    vm.restore(base)
    t.is(vm.registers().rip, 0n)
  }
  // At the fault, too.
  vm.runSync({ timeoutMs })
  using after = vm.snapshot()
  const path = join(folder, 'fault.snapshot')
  await after.save(path)
  using loaded = await Snapshot.load(path)
  using again = new VirtualMachine({ snapshot: loaded })
  t.like(again.registers(), { rip: 1n })
  t.like(again.runSync({ timeoutMs }), expected)
  using other = machine(broken, [], { ...user, faults: 'off' })
  t.throws(
    () => other.restore(base),
    vmError('ERR_SNAPSHOT', /^faults must be 'report' as in the snapshot, got 'off'$/),
  )
})

kvmTest(
  'the command line: a fault is code 3 and a sentence, --faults off a shutdown',
  async (t) => {
    const path = join(folder, 'ud2.bin')
    writeFileSync(path, code('90 0f 0b ; nop; ud2'))
    const args = ['run', path, '--mode', 'long', '--privilege', 'user']
    const ran = await vmexit(args)
    t.is(ran.code, 3)
    t.regex(
      ran.stderr,
      /^vmexit: the guest had a fault that it does not handle \(#UD\); vCPU 0 is at RIP 0x1 /,
    )
    const [status, document] = await vmexitJson(args)
    t.is(status, 3)
    t.like(document, { reason: 'fault', exit: null, fault: { vector: 6, name: '#UD', rip: '1' } })
    const [off, shut] = await vmexitJson([...args, '--faults', 'off'])
    t.is(off, 3)
    t.like(shut, { reason: 'shutdown', exit: { vector: 6 } })
    const wrong = await vmexit([...args, '--faults', 'on'])
    t.is(wrong.code, 2)
  },
)

kvmTest('a sound guest does not notice the table', (t) => {
  const routes = [
    { port: 0xe9, to: 'console' },
    { port: 0xf4, to: 'stop' },
  ] as const
  using vm = machine(guests.hello, routes, { ...user, faults: 'report' })
  t.like(vm.runSync({ timeoutMs }), { reason: 'exit-port', exitCode: 42 })
})
