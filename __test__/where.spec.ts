// What a result, an exit and a machine say in words, and where a guest was that crashed or ran out
// of time.
import { inspect } from 'node:util'

import test, { type ExecutionContext } from 'ava'

import { type Exit, type RunResult, describeExit, guests } from '../src/index.ts'
import { native } from '../src/native/native.ts'
import { kvmTest, kvmTestBoth, skipsMode } from './helpers/kvm.ts'
import { code, machine } from './helpers/machine.ts'

const isSvm = native.hostBackend() === 'kvm_amd'

/** Every form of the sentence holds these. */
function says(t: ExecutionContext, result: RunResult, ...parts: (string | RegExp)[]): void {
  const sentence = String(result)
  t.false(sentence.includes('\n'))
  t.is(describeExit(result), sentence)
  t.true(inspect(result).startsWith(`RunResult (${sentence}) {`), inspect(result))
  for (const part of parts) t.true(new RegExp(part).test(sentence), sentence)
}

for (const [mode, privilege] of [
  ['real', 'kernel'],
  ['protected', 'kernel'],
  ['paged32', 'kernel'],
  ['long', 'kernel'],
  ['long', 'user'],
] as const) {
  kvmTestBoth(`a time-out says where the guest is: ${mode}, ${privilege}`, async (t, run) => {
    if (skipsMode(t, mode, privilege)) return
    using vm = machine('90 eb fe ; nop; 1: jmp 1b', [], { mode, privilege })
    // It may not come as far as its second instruction in that time.
    vm.setRegisters({ rip: 1n })
    const result = await run(vm, { timeoutMs: 20 })
    const { where } = result
    t.like(where, { vcpu: 0, rip: 1n, mode, cs: vm.specialRegisters().cs.selector })
    t.deepEqual([...where!.bytes], [0xeb, 0xfe, ...Array.from({ length: 13 }, () => 0)])
    says(t, result, /^the time is up; vCPU 0 is at RIP 0x1 /, `\\(${mode} mode, CS 0x`, / ebfe0+$/)
  })
}

kvmTestBoth('a shutdown says where, unless KVM has reset the vCPU', async (t, run) => {
  using vm = machine('90 0f 0b ; nop; ud2')
  const result = await run(vm)
  t.is(result.reason, 'shutdown')
  if (isSvm) {
    t.is(result.where, null)
    says(t, result, /KVM has reset the vCPU, so nothing tells where it was$/)
  } else {
    t.like(result.where, { vcpu: 0, rip: 1n, mode: 'long', cs: 8 })
    says(
      t,
      result,
      /^the guest shut down \(triple fault after #UD\); vCPU 0 is at RIP 0x1 .* 0f0b0+$/,
    )
  }
})

kvmTest('the vCPU that crashed is named, and after a time-out the first', async (t) => {
  // cmp $1,%di; je 1f; jmp .; 1: ud2
  using vm = machine('66 83 ff 01 74 02 eb fe 0f 0b', [], { vcpus: 3 })
  const crashed = await vm.run({ timeoutMs: 300_000 })
  t.like(crashed, { reason: 'shutdown', vcpu: 1 })
  if (!isSvm) t.like(crashed.where, { vcpu: 1, rip: 8n })
  using spinning = machine('eb fe ; 1: jmp 1b', [], { vcpus: 3 })
  const late = await spinning.run({ timeoutMs: 20 })
  t.like(late, { reason: 'timeout', vcpu: null })
  t.like(late.where, { vcpu: 0, rip: 0n })
})

kvmTest('an instruction that KVM does not emulate is named', (t) => {
  using vm = machine('90 f3 0f b8 c3 f4 ; nop; popcnt %ebx,%eax; hlt')
  const result = vm.runSync()
  if (result.reason === 'hlt') {
    t.log('skipped: this KVM runs popcnt in ring 0')
    t.pass()
    return
  }
  t.like(result.where, { rip: 1n, mode: 'long' })
  t.deepEqual([...result.where!.bytes.subarray(0, 5)], [0xf3, 0x0f, 0xb8, 0xc3, 0xf4])
  says(t, result, /^KVM could not go on \(internal error, suberror 1/, / f30fb8c3f4/)
})

kvmTest('bytes end where memory does, and are none where there is none', (t) => {
  using vm = machine('f4 ; hlt', [], { mode: 'protected' })
  const end = 2 << 20
  vm.memory.write(end - 2, code('eb fe ; 1: jmp 1b'))
  vm.setRegisters({ rip: BigInt(end - 2) })
  const { where } = vm.runSync({ timeoutMs: 20 })
  t.is(where?.rip, BigInt(end - 2))
  t.deepEqual([...where!.bytes], [0xeb, 0xfe])
  // Long mode maps 4 GiB; 16 TiB it does not.
  using lost = machine('48 b8 00 00 00 00 00 10 00 00 ff e0 ; movabs $1<<44,%rax; jmp *%rax')
  const result = lost.runSync({ timeoutMs: 300_000 })
  t.not(result.reason, 'timeout')
  if (result.where) says(t, result, /RIP 0x100000000000 .*, where no memory can be read$/)
})

kvmTest('every other end has no place, and its own sentence', async (t) => {
  const routes = [{ port: 0xf4, to: 'stop' } as const]
  const ends: [listing: string, sentence: string][] = [
    ['f4', 'the guest halted'],
    ['b0 07 e6 f4', 'the guest ended the run with code 7'],
    ['b0 2a e6 10', 'the guest wrote 1 byte (0x2a) to port 0x10, which no route claims'],
    ['e5 10', 'the guest read 4 bytes from port 0x10, which no route claims'],
    [
      'a3 00 00 00 d0 00 00 00 00',
      'the guest wrote 4 bytes (0x0) to gpa 0xd0000000, which no route claims',
    ],
    [
      'a0 03 00 00 d0 00 00 00 00',
      'the guest read 1 byte from gpa 0xd0000003, which no route claims',
    ],
  ]
  for (const [listing, sentence] of ends) {
    using vm = machine(listing, routes)
    const result = vm.runSync()
    t.is(result.where, null)
    t.is(String(result), sentence)
  }
  using vm = machine(guests.spin)
  setTimeout(() => vm.stop(), 5)
  const stopped = await vm.run()
  t.deepEqual([stopped.where, String(stopped)], [null, 'the run was stopped'])
})

test('exits are described one by one, without what only a run knows', (t) => {
  const none = new Uint8Array(0)
  const exits: [Exit, string][] = [
    [
      { reason: 'pio-out', port: 0x3f8, size: 2, count: 3, value: 7, data: none },
      'the guest wrote 3 items of 2 bytes (first 0x7) to port 0x3f8',
    ],
    [{ reason: 'pio-in', port: 0x60, size: 1, count: 1 }, 'the guest read 1 byte from port 0x60'],
    [{ reason: 'shutdown', registersKept: false }, 'the guest shut down (triple fault)'],
    [
      { reason: 'shutdown', vector: 0, registersKept: true },
      'the guest shut down (triple fault after #DE)',
    ],
    [
      { reason: 'shutdown', vector: 0, registersKept: false },
      'the guest shut down (triple fault after #DE, or an interrupt)',
    ],
    [
      { reason: 'fail-entry', hardwareEntryFailureReason: 0x8000_0021n, cpu: 0 },
      "the processor refused the guest's state (failed entry, reason 0x80000021)",
    ],
    [
      { reason: 'internal-error', suberror: 1, data: [], instructionBytes: Uint8Array.of(0xcc) },
      'KVM could not go on (internal error, suberror 1, instruction cc)',
    ],
    [
      { reason: 'debug', exception: 1, pc: 0x10n, dr6: 0n, dr7: 0n },
      'a debug exception (vector 1) stopped the guest at 0x10',
    ],
    [{ reason: 'system-event', type: 2, data: [] }, 'the guest raised system event 2'],
    [
      { reason: 'unknown', exitReason: 99, hardwareExitReason: 0n },
      'KVM returned for reason 99, which vmexit does not know',
    ],
  ]
  for (const [exit, sentence] of exits) t.is(describeExit(exit), sentence)
})

kvmTest('a machine shows what it is made of and what it does, closed or not', async (t) => {
  const vm = machine(
    'e6 60 f4 ; out $0x60; hlt',
    [
      { port: 0x60, length: 4, device: { write: () => void seen.push(inspect(vm)) } },
      { gpa: 0xd000_0000, length: 0x1000, to: 'discard' },
    ],
    { slots: [{ gpa: 0x4000_0000, bytes: 8192, readOnly: true }], serial: true },
  )
  const seen: string[] = []
  const idle = inspect(vm, { breakLength: Infinity })
  t.is(
    idle,
    "VirtualMachine { state: 'idle', mode: 'long', memory: '2 MiB, 8 KiB at 0x40000000 (read-only)', vcpus: 1, " +
      "devices: [ 'serial' ], routes: [ 'port 0x60..0x63: device', 'gpa 0xd0000000..0xd0000fff: discard' ] }",
  )
  await vm.run()
  t.regex(seen[0]!, /state: 'running'/)
  // Looking makes no serial port: what the guest sends still joins the result's output.
  inspect(vm, { getters: true, showHidden: true, depth: 5 })
  vm.memory.write(0, code('66 ba f8 03 b0 41 ee f4 ; mov $0x3f8,%dx; out; hlt'))
  vm.setRegisters({ rip: 0n })
  t.is(vm.runSync().outputText, 'A')
  vm.close()
  t.is(inspect(vm, { breakLength: Infinity }), idle.replace('idle', 'closed'))
  t.is(inspect({ vm }, { depth: 0 }), '{ vm: [VirtualMachine] }')
})
