// What one guest has set, no other one finds: not after a restore, and not in a fork.
import type { ExecutionContext } from 'ava'
import { VirtualMachine } from '../src/index.ts'
import { allEnded, census, collect, keptFiles } from './fixtures/census.ts'
import { serialTest } from './fixtures/serial.ts'
import { kvmTest } from './helpers/kvm.ts'
import { code, machine } from './helpers/machine.ts'
import { affordable } from './helpers/speed.ts'

/** Short calls of the host's; each ends at the exit port, with EAX. */
const CALLS = `
  89 07          ; 0x00: mov %eax,(%rdi)
  e7 f4          ;       out %eax,$0xf4
  8b 07          ; 0x04: mov (%rdi),%eax
  e7 f4          ;       out %eax,$0xf4
  ee             ; 0x08: out %al,(%dx)
  e7 f4          ;       out %eax,$0xf4
  31 c0          ; 0x0b: xor %eax,%eax
  ec             ;       in (%dx),%al
  e7 f4          ;       out %eax,$0xf4
  0f 01 d1       ; 0x10: xsetbv
  e7 f4          ;       out %eax,$0xf4
  0f 22 d0       ; 0x15: mov %rax,%cr2
  44 0f 22 c0    ;       mov %rax,%cr8
  e7 f4          ;       out %eax,$0xf4
`

const calls = { store: 0x00n, load: 0x04n, out: 0x08n, in: 0x0bn, xsetbv: 0x10n, control: 0x15n }

function call(vm: VirtualMachine, name: keyof typeof calls, at: number, value = 0): number {
  const [rdi, rdx, rax] = [BigInt(at), name === 'xsetbv' ? 0n : BigInt(at), BigInt(value)]
  vm.setRegisters({ rip: calls[name], rdi, rdx, rax, rcx: 0n })
  return vm.runSync({ timeoutMs: 300_000 }).exitCode ?? -1
}

/** STAR, LSTAR, CSTAR, SFMASK, FS and GS base, kernel GS base, TSC_AUX, SYSENTER, PAT, MTRRs. */
const MSRS = [
  ...[0xc000_0081, 0xc000_0082, 0xc000_0083, 0xc000_0084, 0xc000_0100, 0xc000_0101, 0xc000_0102],
  ...[0xc000_0103, 0x174, 0x175, 0x176, 0x277, 0x250, 0x2ff],
]

/** Of the local APIC: TPR, SVR, LVT timer, LVT LINT0, divide configuration, ICR high. */
const LAPIC = [0x80, 0xf0, 0x320, 0x350, 0x3e0, 0x310].map((offset) => 0xfee0_0000 + offset)
/** The masks of both PICs, and the status of a PIT channel, after a read-back command. */
const PORTS = [0x21, 0xa1]

function tryMsr(vm: VirtualMachine, index: number): bigint | undefined {
  try {
    return vm.vcpus[0].readMsr(index)
  } catch {
    return undefined
  }
}

/** Everything that a guest can set, as far as it can be read. The reading changes registers. */
function stateOf(vm: VirtualMachine, irqchip: boolean) {
  const [vcpu] = vm.vcpus
  const outside = {
    registers: vcpu.registers(),
    special: vcpu.specialRegisters(),
    fpu: vcpu.fpu(),
    debug: vcpu.debugRegisters(),
    xcr0: vcpu.xcr0(),
    events: vcpu.events(),
    msrs: MSRS.map((index) => tryMsr(vm, index)),
    memory: Buffer.from(vm.memory.read(0x8000, 0x4000)).toString('latin1'),
    tables: vm.memory.readUint64(0xfe00_0000),
  }
  if (!irqchip) return outside
  const lapic = LAPIC.map((gpa) => call(vm, 'load', gpa))
  const pics = PORTS.map((port) => call(vm, 'in', port))
  call(vm, 'out', 0x43, 0xe8)
  return { ...outside, lapic, pics, pit: call(vm, 'in', 0x42) & 0x3f }
}

/** Sets all of it, by the guest itself where the host cannot. */
function dirty(vm: VirtualMachine, irqchip: boolean): void {
  const [vcpu] = vm.vcpus
  vm.memory.write(0x8000, new Uint8Array(0x4000).fill(0x5a))
  call(vm, 'store', 0x9000, 0x1234_5678)
  call(vm, 'store', 0xfe00_0000, 0x1234_5678)
  call(vm, 'control', 0, 5)
  if (vcpu.xcr0() & 2n) call(vm, 'xsetbv', 0, 1)
  if (irqchip) {
    for (const gpa of LAPIC.slice(0, 5)) call(vm, 'store', gpa, gpa % 0x1000 === 0xf0 ? 0x1ab : 0x3)
    for (const port of PORTS) call(vm, 'out', port, 0x55)
    for (const [port, value] of [
      [0x43, 0xb6],
      [0x42, 0x34],
      [0x42, 0x12],
    ] as const) {
      call(vm, 'out', port, value)
    }
  }
  for (const index of MSRS) {
    const before = tryMsr(vm, index)
    const value = index === 0x277 ? 0x0606_0606_0606_0606n : index === 0x2ff ? 0xc06n : 0x1000n
    try {
      if (before !== undefined) vcpu.writeMsr(index, value)
    } catch {
      // This KVM has it fixed.
    }
  }
  const { ymm } = vcpu.fpu()
  vcpu.setFpu({
    fcw: 0x27f,
    fsw: 0x3800,
    ftw: 0xff,
    mxcsr: 0x1f00,
    st: Array.from({ length: 8 }, (_, index) => new Uint8Array(10).fill(index + 1)),
    xmm: Array.from({ length: 16 }, (_, index) => BigInt(index + 1) << 64n),
    ...(ymm && { ymm: ymm.map((_, index) => BigInt(index + 1) << 200n) }),
  })
  vcpu.setDebugRegisters({ dr0: 0x1000n, dr1: 0x2000n, dr2: 0x3000n, dr3: 0x4000n, dr7: 0x400n })
  vcpu.setSpecialRegisters({ fs: { base: 0x7000n }, gs: { base: 0x8000n }, idt: { limit: 77 } })
  vm.nmi()
  if (!irqchip) vm.interrupt(0x77)
}

function assertClean(t: ExecutionContext, irqchip: boolean): void {
  using vm = machine(CALLS, [{ port: 0xf4, to: 'stop' }], { irqchip })
  using base = vm.snapshot()
  const clean = stateOf(vm, irqchip)
  vm.restore(base)
  dirty(vm, irqchip)
  // Each kind of state was changed.
  using dirtied = vm.snapshot()
  using other = new VirtualMachine({ snapshot: dirtied })
  const changed = stateOf(vm, irqchip)
  for (const [kind, value] of Object.entries(clean)) {
    const is = changed[kind as keyof typeof changed]
    // A vCPU without XSAVE has nothing to change there.
    if (kind !== 'xcr0' || clean.xcr0 & 2n) t.notDeepEqual(is, value, kind)
  }
  t.deepEqual(stateOf(other, irqchip), changed)
  vm.restore(base)
  t.deepEqual(stateOf(vm, irqchip), clean)
  other.restore(base)
  t.deepEqual(stateOf(other, irqchip), clean)
  using fork = new VirtualMachine({ snapshot: base })
  t.deepEqual(stateOf(fork, irqchip), clean)
}

for (const irqchip of [false, true]) {
  kvmTest(`what a guest has set is gone${irqchip ? ', with an irqchip, too' : ''}`, (t) => {
    assertClean(t, irqchip)
  })
}

/** Forks leave so many descriptors for the next ones, as long as there may be some. */
const spareFiles = 2 * 8

const COUNTER = code(`
  ff 04 25 00 00 10 00 ; incl 0x100000
  e7 f4                ; out %eax,$0xf4
  eb f5                ; jmp .-9
`)

serialTest(
  'a thousand forks of a large machine take what they write, and give it back',
  async (t) => {
    const count = affordable(1000)
    using vm = new VirtualMachine({
      mode: 'long',
      memoryBytes: 512 << 20,
      payload: { image: COUNTER },
      routes: [{ port: 0xf4, to: 'stop' }],
    })
    vm.runSync()
    using base = vm.snapshot()
    const make = (many: number) =>
      Array.from({ length: many }, () => {
        const fork = new VirtualMachine({ snapshot: base })
        fork.runSync()
        return fork
      })
    const end = async (forks: VirtualMachine[]) => {
      for (const fork of forks) fork.close()
      // The machine itself has two, its snapshot none of KVM's.
      t.true(await allEnded(keptFiles + 2 + spareFiles))
      for (let round = 0; round < 3; round++) collect()
    }
    await end(make(10))
    const before = census()
    const forks = make(count)
    const during = census()
    t.deepEqual(new Set(forks.map((fork) => fork.memory.readUint32(0x10_0000))), new Set([2]))
    const eachKiB = ((during.residentMiB - before.residentMiB) * 1024) / count
    t.log(`${eachKiB.toFixed(1)} KiB and ${(during.files - before.files) / count} descriptors each`)
    // Above a page of the guest's that each writes, and one of its tables.
    t.true(eachKiB <= 100 + 12, `${eachKiB} KiB`)
    t.is(during.files - before.files, 2 * count - spareFiles)
    await end(forks)
    const after = census()
    t.is(after.files, before.files)
    t.is(after.kvmMappings, before.kvmMappings)
  },
)

/** in (%dx),%al, several times: with RFLAGS.TF a debug exception waits in KVM after each. */
for (const privilege of ['user', 'kernel'] as const) {
  kvmTest(`what a step of the guest's own has to say in DR6 goes with it: ${privilege}`, (t) => {
    using vm = machine('ec ec ec f4', [], { privilege })
    const base = vm.snapshot()
    const before = vm.debugRegisters()
    for (let round = 0; round < 3; round++) {
      vm.setRegisters({ rflags: 0x3102n, rsp: 0x8000n, rip: 0n, rdx: 0x10n })
      t.is(vm.runSync({ timeoutMs: 300_000 }).reason, 'pio-in')
      if (round > 0) vm.reply(1)
      vm.restore(base)
      t.deepEqual(vm.debugRegisters(), before)
    }
    base.close()
  })
}
