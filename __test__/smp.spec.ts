// A multiboot guest that takes timer interrupts on each vCPU, and starts the second one itself.
import type { ExecutionContext } from 'ava'
import { type RunResult, VirtualMachine, guests } from '../src/index.ts'
import { kvmTest } from './helpers/kvm.ts'
import { attempts } from './helpers/speed.ts'

/** It ends what hangs. */
const timeoutMs = 120_000

/** How the guest ends that has waited for another vCPU for two seconds. */
const isAlone = 1

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

/**
 * A machine whose run is over; the test closes it. A host may keep the second vCPU's thread from a
 * processor for longer than the guest waits, but does not do so each time.
 */
async function ended(t: ExecutionContext, vcpus: number): Promise<[VirtualMachine, RunResult]> {
  let late = vcpus === 1 ? 0 : 5
  for (let left = attempts(); ; left--) {
    const vm = machine(vcpus)
    t.teardown(() => vm.close())
    const result = await vm.run({ timeoutMs })
    if (result.exitCode === isAlone && late-- > 0) left++
    else if (result.reason !== 'timeout' || left === 1) return [vm, result]
  }
}

/** What the guest leaves in memory. */
const cells = (vm: VirtualMachine) => ({
  bootTicks: vm.memory.readUint32(0x500),
  apTicks: vm.memory.readUint32(0x504),
  apId: vm.memory.readUint32(0x508),
})

kvmTest('two vCPUs count the ticks of their timers', async (t) => {
  const [vm, result] = await ended(t, 2)
  const outputText = 'multiboot\nboot: 100 ticks\nAP: 50 ticks\n'
  t.like(result, { reason: 'exit-port', exitCode: 42, vcpu: 0, outputText })
  t.deepEqual(cells(vm), { bootTicks: 100, apTicks: 50, apId: 1 })
  t.deepEqual([vm.loaded.format, vm.loaded.mode], ['multiboot', 'protected'])
})

kvmTest('with one vCPU the guest says that no other came', async (t) => {
  const [vm, result] = await ended(t, 1)
  const outputText = 'multiboot\nboot: 100 ticks\nno AP\n'
  t.like(result, { reason: 'exit-port', exitCode: 1, vcpu: 0, outputText })
  t.deepEqual(cells(vm), { bootTicks: 100, apTicks: 0, apId: 0 })
})
