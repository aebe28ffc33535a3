// What is always counted, and the time inside KVM_RUN, which is taken only when asked for.
import { kvmTest, kvmTestBoth } from './helpers/kvm.ts'
import { machine, vmError } from './helpers/machine.ts'

// eb fe  1: jmp 1b
const spin = 'eb fe ;'

kvmTestBoth('a time-out kicks the vCPU, and the kick is counted', async (t, run) => {
  using vm = machine(spin)
  t.is(vm.counters().kicks, 0)
  t.is((await run(vm, { timeoutMs: 5 })).reason, 'timeout')
  t.true(vm.counters().kicks >= 1)
})

kvmTestBoth('timeKvmRun adds the time inside KVM_RUN', async (t, run) => {
  using vm = machine(spin)
  await run(vm, { timeoutMs: 20 })
  t.is(vm.counters().kvmRunMs, 0)
  const { durationMs } = await run(vm, { timeoutMs: 20, timeKvmRun: true })
  const { kvmRunMs } = vm.counters()
  t.true(kvmRunMs > durationMs / 10 && kvmRunMs <= durationMs, `${kvmRunMs} of ${durationMs}`)
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
