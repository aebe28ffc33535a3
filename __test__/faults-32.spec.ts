// Faults of 32-bit modes, whose frames lie on the guest's own stack.
import { inspect } from 'node:util'

import type { CpuMode } from '../src/index.ts'
import { native } from '../src/native/native.ts'
import { kvmTest, kvmTestBoth, skipsMode } from './helpers/kvm.ts'
import { machine } from './helpers/machine.ts'

const modes = ['protected', 'paged32'] as const satisfies CpuMode[]
const stack = 0x8000n

interface Case {
  readonly title: string
  readonly listing: string
  readonly name: string
  readonly errorCode?: number
  readonly rip: bigint
}

const cases: readonly Case[] = [
  { title: 'div', listing: '31 c9 ; xor %ecx,%ecx\n f7 f1 ; div %ecx', name: '#DE', rip: 2n },
  { title: 'ud2', listing: '90 ; nop\n 0f 0b ; ud2', name: '#UD', rip: 1n },
  {
    title: 'a selector beyond the table',
    listing: 'b8 00 10 00 00 ; mov $0x1000,%eax\n 8e d8 ; mov %eax,%ds',
    name: '#GP',
    errorCode: 0x1000,
    rip: 5n,
  },
  {
    title: 'an MSR that there is not',
    listing: 'b9 ff ff 00 00 ; mov $0xffff,%ecx\n 0f 32 ; rdmsr',
    name: '#GP',
    errorCode: 0,
    rip: 5n,
  },
]

for (const mode of modes) {
  for (const { title, listing, name, errorCode, rip } of cases) {
    kvmTestBoth(`${mode}: ${name}, ${title}`, async (t, run) => {
      if (skipsMode(t, mode)) return
      using vm = machine(listing, [], { mode, faults: 'report' })
      vm.setRegisters({ rsp: stack, rbx: 7n })
      vm.memory.write(Number(stack), Uint8Array.of(1, 2, 3, 4))
      const result = await run(vm)
      const { fault } = result
      const code = errorCode === undefined ? {} : { errorCode }
      t.deepEqual(fault, { vector: fault!.vector, name, ...code, rip }, inspect(result))
      t.like(result, { reason: 'fault', exit: null, vcpu: 0, exits: 1 })
      t.like(vm.registers(), { rip, rsp: stack, rbx: 7n })
      const { cs, ss } = vm.specialRegisters()
      t.deepEqual([cs.selector, ss.selector], [8, 0x10])
      // What lies on the stack is the guest's; the frame is below.
      t.deepEqual(vm.memory.read(Number(stack), 4), Uint8Array.of(1, 2, 3, 4))
      t.like(await run(vm), { reason: 'fault', fault: { name, rip } })
    })
  }

  kvmTest(`${mode}: without a stack a fault is none of ours`, (t) => {
    if (skipsMode(t, mode)) return
    using vm = machine('0f 0b ; ud2', [], { mode, faults: 'report' })
    // No memory is there.
    vm.setRegisters({ rsp: 0x40_0000n })
    const { reason } = vm.runSync({ timeoutMs: 300_000 })
    t.is(reason, native.hostBackend() === 'kvm_amd' ? 'internal-error' : 'shutdown')
  })
}

kvmTest('paged32: a page that is not there', (t) => {
  if (skipsMode(t, 'paged32')) return
  using vm = machine('8b 1d 00 00 40 00 ; mov 0x400000,%ebx', [], {
    mode: 'paged32',
    faults: 'report',
  })
  vm.memory.writeUint32(Number(vm.specialRegisters().cr3) + 4, 0)
  const result = vm.runSync({ timeoutMs: 300_000 })
  const expected = { vector: 14, name: '#PF', errorCode: 0, address: 0x40_0000n, rip: 0n }
  t.deepEqual(result.fault, expected, inspect(result))
})

kvmTest('a frame on the stack that names no segment is none, and the write an exit', (t) => {
  // A kernel that jumps to the stub of #UD, with rubbish on its stack.
  using vm = machine('b8 60 34 00 fe ; mov $0xfe003460,%eax\n ff e0 ; jmp *%eax', [], {
    mode: 'protected',
    faults: 'report',
  })
  vm.setRegisters({ rsp: stack })
  t.like(vm.runSync({ timeoutMs: 300_000 }), { reason: 'pio-out', exit: { port: 0xfa } })
})
