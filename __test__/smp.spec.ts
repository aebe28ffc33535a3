// A multiboot guest that takes timer interrupts on each vCPU, and starts the second one itself.
import { VirtualMachine, guests } from '../src/index.ts'
import { kvmTest } from './helpers/kvm.ts'

/** Ends a run that would otherwise hang; no test waits for it. */
const timeoutMs = 60_000

function machine(vcpus: number): VirtualMachine {
  return new VirtualMachine({
    mode: 'protected',
    irqchip: true,
    vcpus,
    payload: guests.smp,
    routes: [
      { port: 0xe9, to: 'console' },
      { port: 0xf4, to: 'stop' },
    ],
  })
}

/** What the guest leaves behind. */
const cells = (vm: VirtualMachine) => ({
  bootTicks: vm.memory.readUint32(0x500),
  apTicks: vm.memory.readUint32(0x504),
  apId: vm.memory.readUint32(0x508),
})

kvmTest('two vCPUs count the ticks of their timers', async (t) => {
  using vm = machine(2)
  const result = await vm.run({ timeoutMs })
  const outputText = 'multiboot\nboot: 100 ticks\nAP: 50 ticks\n'
  t.like(result, { reason: 'exit-port', exitCode: 42, vcpu: 0, outputText })
  t.deepEqual(cells(vm), { bootTicks: 100, apTicks: 50, apId: 1 })
  t.deepEqual([vm.loaded.format, vm.loaded.mode], ['multiboot', 'protected'])
})

kvmTest('with one vCPU the guest says that no other came', async (t) => {
  using vm = machine(1)
  const result = await vm.run({ timeoutMs })
  const outputText = 'multiboot\nboot: 100 ticks\nno AP\n'
  t.like(result, { reason: 'exit-port', exitCode: 1, vcpu: 0, outputText })
  t.deepEqual(cells(vm), { bootTicks: 100, apTicks: 0, apId: 0 })
})
