// A stop that is taken away while a vCPU waits at it.
import { until } from './fixtures/until.ts'
import { kvmTest } from './helpers/kvm.ts'
import { machine } from './helpers/machine.ts'

/** inc eax; inc eax; hlt */
const listing = 'ff c0 ff c0 f4'

kvmTest('a run goes on past a stop that is removed before its handler has answered', async (t) => {
  using vm = machine(listing)
  let answer: () => void = () => undefined
  const point = vm.debug.breakpoint(2n, () => new Promise<void>((resolve) => (answer = resolve)))
  const run = vm.run({ timeoutMs: 300_000 })
  t.true(await until(() => point.hits === 1))
  await vm.pause()
  t.is(vm.registers().rip, 2n)
  point.remove()
  vm.resume()
  answer()
  t.is((await run).reason, 'hlt')
  t.is(vm.registers().rax, 2n)
})
