// Guests that are broken in one way each: the right rule finds it, on each KVM where it crashes.
import {
  type Autopsy,
  type CpuMode,
  type RunResult,
  VirtualMachine,
  type VirtualMachineOptions,
  guests,
} from '../src/index.ts'
import { native } from '../src/native/native.ts'
import { kvmTest, modeRuns } from './helpers/kvm.ts'
import { code, machine, vmError } from './helpers/machine.ts'

const backend = native.hostBackend()
const wide = 0x8000_0000_0000n
const wildStack = wide << 2n

/** A guest that does one thing wrong. */
interface Broken {
  readonly rule: string
  readonly about: string
  readonly listing: string
  readonly options?: Partial<VirtualMachineOptions>
  /** Breaks what a listing cannot. */
  readonly spoil?: (vm: VirtualMachine) => void
  /** Where it does not crash, or not in this way. */
  readonly except?: (typeof backend)[]
}

/** An IDT at 0x3000 whose gates lead to a halt at 0x1100. */
function idt(vm: VirtualMachine, middle = '08 00 00 8e'): void {
  vm.memory.write(0x3000, code(`00 11 ${middle} 00 00 00 00 00 00 00 00 00 00 `.repeat(32)))
  vm.memory.write(0x1100, code('f4'))
  vm.setSpecialRegisters({ idt: { base: 0x3000n, limit: 0x1ff } })
}

/**
 * Page tables at 0x10000 that map the first 2 MiB to themselves, and the system slot, with an entry
 * of their own.
 */
function tables(vm: VirtualMachine, at: bigint, entry: bigint, level: 'pt' | 'pdpt'): void {
  const write = (gpa: number, value: bigint) => vm.memory.writeUint64(gpa, value)
  write(0x1_0000, 0x1_1007n)
  write(0x1_1000, 0x1_2007n)
  write(0x1_2000, 0x1_3007n)
  const pdpt = vm.memory.readUint64(Number(vm.specialRegisters().cr3)) & ~0xfffn
  write(0x1_1018, vm.memory.readUint64(Number(pdpt) + 0x18))
  for (let page = 0; page < 512; page++) write(0x1_3000 + 8 * page, BigInt(page * 4096) | 7n)
  if (level === 'pt') write(0x1_3000 + 8 * Number(at >> 12n), entry)
  else write(0x1_1000 + 8 * Number(at >> 30n), entry)
  vm.setSpecialRegisters({ cr3: 0x1_0000n })
}

const user = { privilege: 'user' } as const
const unreported = { ...user, faults: 'off' } as const

/** A TSS at 0x5000 with a stack for ring 0. */
function tss(vm: VirtualMachine, rsp0: bigint): void {
  vm.memory.writeUint64(0x5004, rsp0)
  vm.setSpecialRegisters({ tr: { base: 0x5000n, limit: 0x67 } })
}
const kernelFaults = { faults: 'report' } as const
const load = 'a1 00 80 00 00 00 00 00 00 f4 ; movabs 0x8000,%eax; hlt'

const list: Broken[] = [
  { rule: 'idt-missing', about: 'no IDT', listing: '90 0f 0b ; nop; ud2' },
  {
    rule: 'idt-gate-not-present',
    about: 'a gate that is not present',
    listing: '0f 0b ; ud2',
    spoil: (vm) => idt(vm, '08 00 00 0e'),
  },
  {
    rule: 'idt-gate-type',
    about: 'a gate of the wrong type',
    listing: '0f 0b ; ud2',
    options: unreported,
    spoil: (vm) => {
      idt(vm, '08 00 00 8c')
      tss(vm, 0x9000n)
    },
    // It looks at no type.
    except: ['kvm_pvm'],
  },
  {
    rule: 'gdt-selector',
    about: 'a gate to a data segment',
    listing: '0f 0b ; ud2',
    options: unreported,
    spoil: (vm) => {
      idt(vm, '10 00 00 8e')
      tss(vm, 0x9000n)
    },
    // It looks at no type.
    except: ['kvm_pvm'],
  },
  {
    rule: 'gdt-selector',
    about: 'a selector beyond the GDT',
    listing: '66 b8 00 10 8e d8 ; mov $0x1000,%ax; mov %ax,%ds',
    options: user,
  },
  {
    rule: 'stack-unmapped',
    about: 'a stack without memory',
    listing: '0f 0b ; ud2',
    spoil: (vm) => {
      idt(vm)
      vm.setRegisters({ rsp: 1n << 44n })
    },
  },
  {
    rule: 'tss-rsp0',
    about: 'RSP0 is zero',
    listing: '0f 0b ; ud2',
    options: unreported,
    spoil: (vm) => {
      idt(vm)
      tss(vm, 0n)
    },
  },
  {
    rule: 'stack-wild',
    about: 'a wild RSP without IST',
    listing: '0f 0b ; ud2',
    spoil: (vm) => {
      idt(vm)
      vm.setRegisters({ rsp: wildStack })
    },
  },
  {
    rule: 'stack-wild',
    about: 'a wild RSP with IST',
    listing: '50 ; push %rax',
    options: user,
    spoil: (vm) => vm.setRegisters({ rsp: wildStack }),
  },
  {
    rule: 'page-1gib',
    about: 'a page of 1 GiB without the feature',
    listing: 'a1 00 00 00 40 00 00 00 00 f4 ; movabs 0x40000000,%eax; hlt',
    options: user,
    spoil: (vm) => tables(vm, 1n << 30n, (1n << 30n) | 0x87n, 'pdpt'),
    // It has such pages, whatever CPUID says.
    except: ['kvm_amd'],
  },
  {
    rule: 'page-no-execute',
    about: 'code in a page with XD',
    listing: 'b8 00 80 00 00 ff e0 ; mov $0x8000,%eax; jmp *%rax',
    options: user,
    spoil: (vm) => {
      vm.setSpecialRegisters({ efer: vm.specialRegisters().efer | 0x800n })
      tables(vm, 0x8000n, (1n << 63n) | 0x8007n, 'pt')
    },
  },
  {
    rule: 'page-reserved-bit',
    about: 'a reserved bit',
    listing: load,
    options: user,
    spoil: (vm) => tables(vm, 0x8000n, (1n << 51n) | 0x8007n, 'pt'),
  },
  {
    rule: 'page-not-present',
    about: 'a page that is not there',
    listing: load,
    options: user,
    spoil: (vm) => tables(vm, 0x8000n, 0n, 'pt'),
  },
  {
    rule: 'page-protection',
    about: 'a page of ring 0',
    listing: load,
    options: user,
    spoil: (vm) => tables(vm, 0x8000n, 0x8003n, 'pt'),
  },
  {
    rule: 'non-canonical',
    about: 'an address that is none',
    listing: '48 b8 00 00 00 00 00 80 00 00 48 8b 00 ; movabs $1<<47,%rax; mov (%rax),%rax',
    options: user,
  },
  {
    rule: 'cs-l-and-d',
    about: 'CS.L with CS.D',
    // push $0x28; push $0x1000; lretq
    listing: '6a 28 68 00 10 00 00 48 cb',
    options: kernelFaults,
    spoil: (vm) => {
      vm.memory.write(0x4000, new Uint8Array(0x28))
      vm.memory.write(0x4008, code('ff ff 00 00 00 9b af 00 ff ff 00 00 00 93 cf 00'))
      vm.memory.write(0x4028, code('ff ff 00 00 00 9b ef 00'))
      vm.setSpecialRegisters({ gdt: { base: 0x4000n, limit: 0x2f } })
      vm.setRegisters({ rsp: 0x8000n })
    },
  },
  {
    rule: 'lme-without-pae',
    about: 'LME without PAE',
    listing: `b9 80 00 00 c0 0f 32 0d 00 01 00 00 0f 30 ; EFER.LME
      0f 20 c0 0d 00 00 00 80 0f 22 c0 f4 ; CR0.PG`,
    options: { mode: 'protected' },
    // The emulated machine stops altogether there.
    except: ['kvm_amd'],
  },
  {
    rule: 'pg-without-pe',
    about: 'paging without protection',
    listing: 'b8 10 00 00 80 0f 22 c0 f4 ; mov $0x80000010,%eax; mov %eax,%cr0; hlt',
    options: { mode: 'protected' },
  },
  {
    rule: 'port-denied',
    about: 'a port without right',
    listing: 'e6 10 ; out %al,$0x10',
    options: user,
    spoil: (vm) => {
      vm.setRegisters({ rflags: 2n })
      vm.setSpecialRegisters({ tr: { limit: 0x67 } })
    },
  },
  {
    rule: 'sse-off',
    about: 'SSE off',
    listing: '0f 58 c1 f4 ; addps %xmm1,%xmm0; hlt',
    options: user,
    spoil: (vm) => vm.setSpecialRegisters({ cr4: vm.specialRegisters().cr4 & ~0x200n }),
    // Ring 3 has the units of the host.
    except: ['kvm_pvm'],
  },
  {
    rule: 'mode-unsupported',
    about: 'paged32 where it does not run',
    listing: 'f4 ; hlt',
    options: { mode: 'paged32' },
    except: ['kvm_amd', 'kvm_intel'],
  },
  {
    rule: 'code-ran-off',
    about: 'code without an end',
    listing: '90 90 ; nop; nop',
    spoil: (vm) => vm.setRegisters({ rax: 0x9000n }),
  },
  {
    rule: 'bios-missing',
    about: 'int 0x10 without a BIOS',
    listing: 'cd 10 f4 ; int $0x10; hlt',
    options: { mode: 'real', payload: { image: code('cd 10 f4'), loadGpa: 0x7c00 } },
  },
  {
    rule: 'jump-nowhere',
    about: 'a jump to nowhere',
    listing: '48 b8 00 00 00 00 00 10 00 00 ff e0 ; movabs $1<<44,%rax; jmp *%rax',
    options: user,
  },
  {
    rule: 'not-emulated',
    about: 'an iret that this KVM cannot emulate',
    listing: '48 cf ; iretq',
    except: ['kvm_amd', 'kvm_intel'],
  },
  {
    rule: 'stack-over-tables',
    about: 'a stack over page tables',
    // Pushes until the tables are gone.
    listing: '50 eb fd ; 1: push %rax; jmp 1b',
    spoil: (vm) => {
      tables(vm, 0n, 7n, 'pt')
      vm.setRegisters({ rsp: 0x1_0020n })
    },
  },
]

/**
 * Its end, explained: by what the run has kept, or by a replay. What does not end by itself is given
 * as many seconds as a busy host takes for its first steps.
 */
function autopsyOf({ rule, listing, options, spoil }: Broken): [RunResult, Autopsy] {
  using vm = machine(listing, [], options)
  spoil?.(vm)
  using replay = vm.snapshot()
  for (let seconds = 1; ; seconds++) {
    const result = vm.runSync({ timeoutMs: 1000 })
    const autopsy = result.explain({ replay })
    const isFound = autopsy.findings.some((finding) => finding.rule === rule)
    if (result.reason !== 'timeout' || isFound || seconds === 60) return [result, autopsy]
  }
}

for (const broken of list) {
  kvmTest(`${broken.rule}: ${broken.about}`, (t) => {
    if (broken.except?.includes(backend)) {
      t.log(`skipped: no crash on ${backend}`)
      t.pass()
      return
    }
    const [result, autopsy] = autopsyOf(broken)
    const text = `${result.reason}\n${autopsy}`
    t.true(
      autopsy.findings.some(({ rule }) => rule === broken.rule),
      text,
    )
    t.log(text)
  })
}

kvmTest('a sound guest has no findings', (t) => {
  const routes = [{ port: 0xe9, to: 'console' } as const, { port: 0xf4, to: 'stop' } as const]
  const modes: CpuMode[] = ['real', 'protected', 'paged32', 'long']
  for (const mode of modes.filter((each) => modeRuns(each).runs)) {
    using vm = new VirtualMachine({ mode, payload: guests.hello, routes })
    const autopsy = vm.runSync().explain()
    t.deepEqual([autopsy.findings, autopsy.walk, autopsy.vector], [[], null, null])
  }
  using spinning = machine(guests.spin)
  t.deepEqual(spinning.runSync({ timeoutMs: 20 }).explain().findings, [])
  using ring3 = machine(guests.hello, routes, user)
  t.deepEqual(ring3.runSync().explain().findings, [])
})

kvmTest('only the last run of an open and idle machine is explained', async (t) => {
  const vm = machine('f4 f4 ; hlt; hlt')
  const first = vm.runSync()
  t.deepEqual(first.explain({}).findings, [])
  const second = vm.runSync()
  t.throws(() => first.explain(), vmError('ERR_INVALID_OPTION', /has run again/))
  t.deepEqual(second.explain().findings, [])
  const wrong = [null, 1, { replays: 1 }, { replay: 1 }] as unknown as { replay?: never }[]
  for (const each of wrong) t.throws(() => second.explain(each), vmError('ERR_INVALID_OPTION'))
  vm.memory.write(0, code('eb fe ; 1: jmp 1b'))
  vm.setRegisters({ rip: 0n })
  const run = vm.run()
  t.throws(() => second.explain(), vmError('ERR_VM_BUSY'))
  vm.stop()
  const third = await run
  t.deepEqual(third.explain().findings, [])
  vm.close()
  t.throws(() => third.explain(), vmError('ERR_VM_CLOSED'))
})

kvmTest('registers are those of the end, memory is that of the call', (t) => {
  using vm = machine('48 c7 c0 2a 00 00 00 0f 0b ; mov $42,%rax; ud2', [], { mode: 'protected' })
  using replay = vm.snapshot()
  const result = vm.runSync()
  t.is(result.reason, 'shutdown')
  const before = result.explain({ replay })
  vm.memory.write(Number(before.instruction!.address), code('f4'))
  vm.setRegisters({ rip: 0n })
  const after = result.explain({ replay })
  t.is(after.instruction?.address, before.instruction?.address)
  t.deepEqual([before.instruction?.text, after.instruction?.text], ['ud2', 'hlt'])
})

kvmTest('a replay that ends otherwise is a finding', (t) => {
  using vm = machine('0f 0b ; ud2')
  vm.memory.writeUint8(0, 0xf4)
  using replay = vm.snapshot()
  vm.memory.writeUint8(0, 0x0f)
  const { findings } = vm.runSync().explain({ replay })
  const lost = findings.filter(({ rule }) => rule === 'replay-failed' || rule === 'registers-lost')
  t.is(lost.length, backend === 'kvm_amd' ? 2 : 0)
})

kvmTest('guests of random bytes are explained', (t) => {
  const modes: CpuMode[] = ['real', 'protected', 'long']
  let state = 7
  const byte = (): number => (state = (state * 48_271) % 0x7fff_ffff) & 0xff
  for (let round = 0; round < 60; round++) {
    const image = Uint8Array.from({ length: 64 }, byte)
    const mode = modes[round % 3]!
    const privilege = mode === 'long' && round % 2 === 0 ? 'user' : 'kernel'
    using vm = new VirtualMachine({ mode, privilege, payload: { image } })
    vm.setRegisters({ rsp: BigInt(byte()) << 8n, rdx: BigInt(byte()) })
    const result = vm.runSync({ timeoutMs: 10 })
    const autopsy = result.explain()
    t.true(String(autopsy).startsWith(String(result)))
    if (['fault', 'shutdown'].includes(result.reason)) t.true(autopsy.findings.length > 0)
  }
})
