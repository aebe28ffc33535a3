// What differs between KVMs, as docs/two-kvms.md says it. The backend is the one that
// `vmexit doctor` names.
import { native } from '../src/native/native.ts'
import { kvmTest, modeRuns } from './helpers/kvm.ts'
import { machine } from './helpers/machine.ts'

/**
 * This one has no virtualization below it: it emulates CPL 0, and runs CPL 3 on the host's own
 * segments.
 */
const isPvm = native.hostBackend() === 'kvm_pvm'

kvmTest('paged32 runs, but for kvm_pvm', (t) => {
  t.deepEqual(modeRuns('paged32'), isPvm ? { runs: false, reason: 'shutdown' } : { runs: true })
})

/** Code that ends with the given reason where the processor itself runs it. */
const atCpl0: Record<string, [reason: string, listing: string]> = {
  popcnt: ['hlt', 'f3 48 0f b8 c1 f4 ; popcnt %rcx,%rax; hlt'],
  x87: ['hlt', 'd9 e8 d8 c0 f4 ; fld1; fadd %st(0),%st; hlt'],
  // Without an IDT.
  'int n': ['shutdown', 'cd 20 f4 ; int $0x20; hlt'],
}

for (const [name, [reason, listing]] of Object.entries(atCpl0)) {
  kvmTest(`${name} at CPL 0 is the processor's, but for kvm_pvm`, (t) => {
    using vm = machine(listing)
    vm.setRegisters({ rcx: 7n })
    t.is(vm.runSync({ timeoutMs: 300_000 }).reason, isPvm ? 'internal-error' : (reason as never))
    if (name === 'popcnt' && !isPvm) t.is(vm.registers().rax, 3n)
  })
}

kvmTest('ring 3 reads its own CS, but for kvm_pvm', (t) => {
  const listing = '8c c8 e7 f4 ; mov %cs,%eax; out %eax,$0xf4'
  using vm = machine(listing, [{ port: 0xf4, to: 'stop' }], { privilege: 'user' })
  const own = vm.specialRegisters().cs.selector
  const { exitCode } = vm.runSync({ timeoutMs: 300_000 })
  // The host's own code segment of 64-bit user programs.
  t.is(exitCode, isPvm ? 0x33 : own)
})
