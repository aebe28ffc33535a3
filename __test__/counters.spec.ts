// What is always counted, and the time inside KVM_RUN, which is taken only when asked for.
import { kvmTest, kvmTestBoth } from './helpers/kvm.ts'
import { machine, vmError } from './helpers/machine.ts'

// eb fe  1: jmp 1b
const spin = 'eb fe ;'

kvmTestBoth('a time-out kicks the vCPU, and the kick is counted', async (t, run) => {
  using vm = machine(spin)
  t.is(vm.counters().kicks, 0)
  // On a busy host a short time is over before the guest is entered, and nothing is to be kicked.
  for (let timeoutMs = 5; vm.counters().kicks === 0 && timeoutMs < 10_000; timeoutMs *= 2)
    t.is((await run(vm, { timeoutMs })).reason, 'timeout')
  t.true(vm.counters().kicks >= 1)
})

kvmTestBoth('timeKvmRun adds the time inside KVM_RUN', async (t, run) => {
  using vm = machine(spin)
  await run(vm, { timeoutMs: 20 })
  t.is(vm.counters().kvmRunMs, 0)
  let [kvmRunMs, share] = [0, 0]
  for (let timeoutMs = 20; share <= 0.1 && timeoutMs < 10_000; timeoutMs *= 2) {
    const { durationMs } = await run(vm, { timeoutMs, timeKvmRun: true })
    share = (vm.counters().kvmRunMs - kvmRunMs) / durationMs
    kvmRunMs = vm.counters().kvmRunMs
  }
  t.true(share > 0.1 && share <= 1, `${share}`)
  await run(vm, { timeoutMs: 20, timeKvmRun: false })
  t.is(vm.counters().kvmRunMs, kvmRunMs)
})

kvmTest('timeKvmRun is true or false', (t) => {
  using vm = machine(spin)
  for (const timeKvmRun of [1, 'yes', null]) {
    t.throws(
      () => vm.runSync({ timeKvmRun: timeKvmRun as never }),
      vmError('ERR_INVALID_OPTION', /timeKvmRun must be true or false/),
    )
  }
})
