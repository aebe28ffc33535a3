// Faults that a guest does not handle: what a run's end says of each, in ring 0 and ring 3, with a
// stack and without one. The KVMs agree on every row.
import { inspect } from 'node:util'

import type { ExecutionContext } from 'ava'

import type { Privilege, VirtualMachine } from '../src/index.ts'
import { native } from '../src/native/native.ts'
import { type Run, kvmTestBoth } from './helpers/kvm.ts'
import { machine } from './helpers/machine.ts'

const backend = native.hostBackend()
const rings = ['kernel', 'user'] as const

/** Where the tables of a machine begin, and how many descriptors there are. */
const gdt = 0xfe00_0000
const descriptors = 5
/** No address: its bits 47 to 63 differ. */
const nowhere = 0x8000_0000_0000_0000n
/** Above what is mapped. */
const unmapped = 0x80_0000_0000n
/** A stack where nothing is mapped. */
const lostStack = unmapped + 0x1000n

interface Case {
  /** What the instruction does, and the listing that does it. */
  readonly title: string
  readonly listing: string
  readonly name: string
  /** By the ring, where that makes a difference. */
  readonly errorCode?: number | { readonly [Ring in Privilege]: number }
  readonly address?: bigint
  /** The instruction at fault; of a trap the one after it. */
  readonly rip: bigint
  /** Rings that have it; of ring 0 where this KVM does not emulate the instruction only ring 3. */
  readonly rings?: readonly Privilege[]
  /** Of these rings, those in which kvm_pvm raises it: it emulates ring 0 alone. */
  readonly pvm?: readonly Privilege[]
  /** Whether the emulated processor of the second KVM raises something else, or nothing. */
  readonly notOnAmd?: boolean
  /** What the guest needs that raises it. */
  readonly prepare?: (vm: VirtualMachine) => void
  /** The stack that the case is about; others have each kind. */
  readonly rsp?: bigint
}

/** One more descriptor in the GDT: selector 0x28. */
const descriptor = (value: bigint) => (vm: VirtualMachine) => {
  vm.memory.writeUint64(gdt + 8 * descriptors, value)
  vm.setSpecialRegisters({ gdt: { limit: 8 * (descriptors + 1) - 1 } })
}

const pageFault = (
  title: string,
  listing: string,
  errorCode: Case['errorCode'] & object,
  address: bigint,
  more: Partial<Case> = {},
): Case => ({ title, listing, name: '#PF', errorCode, address, rip: 0n, ...more })

const cases: readonly Case[] = [
  { title: 'div', listing: '31 c9 ; xor %ecx,%ecx\n f7 f1 ; div %ecx', name: '#DE', rip: 2n },
  { title: 'ud2', listing: '90 ; nop\n 0f 0b ; ud2', name: '#UD', rip: 1n },
  { title: 'lock nop', listing: 'f0 90 ; lock nop', name: '#UD', rip: 0n },
  { title: 'int3', listing: 'cc ; int3\n f4 ; hlt', name: '#BP', rip: 1n, pvm: ['user'] },
  {
    title: 'a step',
    listing: '90 ; nop\n 90 ; nop',
    name: '#DB',
    rip: 1n,
    prepare: (vm) => vm.setRegisters({ rflags: 0x3102n }),
  },
  {
    title: 'x87 while CR0.TS is set',
    listing: 'd9 ee ; fldz',
    name: '#NM',
    rip: 0n,
    pvm: [],
    prepare: (vm) => vm.setSpecialRegisters({ cr0: vm.specialRegisters().cr0 | 8n }),
  },
  {
    title: 'x87 with a pending error',
    listing: 'd9 ee ; fldz\n d9 e8 ; fld1\n de f1 ; fdivp\n 9b ; fwait',
    name: '#MF',
    rip: 6n,
    pvm: ['user'],
    prepare: (vm) => vm.setFpu({ fcw: 0x37b }),
  },
  {
    title: 'SSE with an error that is not masked',
    listing: '0f 57 c0 ; xorps %xmm0,%xmm0\n 0f 5e c0 ; divps %xmm0,%xmm0',
    name: '#XM',
    notOnAmd: true,
    rip: 3n,
    pvm: ['user'],
    prepare: (vm) => vm.setFpu({ mxcsr: 0x1f80 & ~0x80 }),
  },
  {
    title: 'a word across its border',
    listing: '48 8b 04 25 01 00 00 00 ; mov 1,%rax',
    name: '#AC',
    errorCode: 0,
    notOnAmd: true,
    rip: 0n,
    rings: ['user'],
    prepare(vm) {
      vm.setSpecialRegisters({ cr0: vm.specialRegisters().cr0 | 0x4_0000n })
      vm.setRegisters({ rflags: 0x4_3002n })
    },
  },
  {
    title: 'a descriptor that is not present',
    listing: 'b8 28 00 00 00 ; mov $0x28,%eax\n 8e d8 ; mov %eax,%ds',
    name: '#NP',
    errorCode: 0x28,
    rip: 5n,
    pvm: ['kernel'],
    prepare: descriptor(0x00cf_7300_0000_ffffn),
  },
  {
    title: 'a stack segment that is not present',
    listing: 'b8 28 00 00 00 ; mov $0x28,%eax\n 8e d0 ; mov %eax,%ss',
    name: '#SS',
    errorCode: 0x28,
    rip: 5n,
    rings: ['kernel'],
    prepare: descriptor(0x00cf_1300_0000_ffffn),
  },
  {
    title: 'push to no address',
    listing: '50 ; push %rax',
    name: '#SS',
    errorCode: 0,
    notOnAmd: true,
    rip: 0n,
    rsp: nowhere,
  },
  {
    title: 'a selector beyond the table',
    listing: 'b8 00 10 00 00 ; mov $0x1000,%eax\n 8e d8 ; mov %eax,%ds',
    name: '#GP',
    errorCode: 0x1000,
    rip: 5n,
  },
  {
    title: 'no address',
    listing:
      '48 b8 00 00 00 00 00 00 00 80 ; movabs $0x8000000000000000,%rax\n 8b 00 ; mov (%rax),%eax',
    name: '#GP',
    errorCode: 0,
    rip: 10n,
  },
  {
    title: 'hlt in ring 3',
    listing: 'f4 ; hlt',
    name: '#GP',
    errorCode: 0,
    rip: 0n,
    rings: ['user'],
  },
  {
    title: 'an MSR that there is not',
    listing: 'b9 ff ff 00 00 ; mov $0xffff,%ecx\n 0f 32 ; rdmsr',
    name: '#GP',
    errorCode: 0,
    rip: 5n,
  },
  pageFault('a read', '48 8b 03 ; mov (%rbx),%rax', { kernel: 0, user: 4 }, unmapped),
  pageFault('a write', '48 89 03 ; mov %rax,(%rbx)', { kernel: 2, user: 6 }, unmapped),
  pageFault('a jump', 'ff e3 ; jmp *%rbx', { kernel: 0, user: 4 }, unmapped, {
    rip: unmapped,
  }),
  pageFault(
    'push to what is not mapped',
    '50 ; push %rax',
    { kernel: 2, user: 6 },
    lostStack - 8n,
    {
      rsp: lostStack,
    },
  ),
  pageFault('a read of tables', '48 8b 03 ; mov (%rbx),%rax', { kernel: 5, user: 5 }, BigInt(gdt), {
    rings: ['user'],
  }),
  pageFault(
    'a write to tables',
    '48 89 03 ; mov %rax,(%rbx)',
    { kernel: 7, user: 7 },
    BigInt(gdt),
    {
      rings: ['user'],
    },
  ),
]

/** A machine before the instruction that a case is about; RBX has its address. */
function before(row: Case, privilege: Privilege, rsp: bigint | undefined): VirtualMachine {
  const vm = machine(row.listing, [], { privilege, faults: 'report' })
  vm.setRegisters({ rbx: row.address ?? 0n, ...(rsp === undefined ? {} : { rsp }) })
  row.prepare?.(vm)
  return vm
}

async function raises(
  t: ExecutionContext,
  run: Run,
  row: Case,
  privilege: Privilege,
): Promise<void> {
  const { errorCode, address, name } = row
  const code = typeof errorCode === 'object' ? errorCode[privilege] : errorCode
  const stacks = row.rsp === undefined ? [undefined, lostStack, 0n] : [row.rsp]
  for (const rsp of stacks) {
    using vm = before(row, privilege, rsp)
    const { rsp: began, rflags } = vm.registers()
    const result = await run(vm)
    const { fault } = result
    const expected = {
      vector: fault?.vector,
      name,
      ...(code === undefined ? {} : { errorCode: code }),
      ...(address === undefined ? {} : { address }),
      rip: row.rip,
    }
    t.deepEqual(fault, expected as typeof fault, inspect(result))
    t.like(result, { reason: 'fault', exit: null, vcpu: 0, exits: 1 })
    t.like(result.where, { rip: row.rip, mode: 'long' })
    // The guest is at the instruction, on its own stack, in its ring.
    const { cs, ss } = vm.specialRegisters()
    t.like(vm.registers(), { rip: row.rip, rsp: began })
    t.is(vm.registers().rflags & 0x100n, rflags & 0x100n)
    t.deepEqual([cs.selector, ss.selector], privilege === 'user' ? [0x23, 0x1b] : [8, 0x10])
  }
}

for (const privilege of rings) {
  for (const row of cases) {
    if (row.rings && !row.rings.includes(privilege)) continue
    kvmTestBoth(`${row.name}: ${row.title}, ${privilege}`, async (t, run) => {
      const isMissed =
        backend === 'kvm_amd'
          ? row.notOnAmd
          : backend === 'kvm_pvm' && row.pvm?.includes(privilege) === false
      if (isMissed) {
        t.log('skipped: this KVM does not raise it in this ring')
        t.pass()
      } else await raises(t, run, row, privilege)
    })
  }
}
