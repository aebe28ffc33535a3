// What follows a snapshot follows a restore and a fork of it, too, whatever the guest does.
import { kvmTest } from './helpers/kvm.ts'
import { VirtualMachine } from '../src/index.ts'
import { ended } from './fixtures/child.ts'
import { machine } from './helpers/machine.ts'
import { affordable } from './helpers/speed.ts'

const isSoak = process.env['VMEXIT_SOAK'] === '1'

kvmTest('a random guest does after a restore, and in a fork, what it did before', async (t) => {
  if (affordable(10) < 10) {
    t.log('skipped: random guests end the emulator itself by an assertion of its own')
    t.pass()
    return
  }
  t.timeout(3_600_000)
  const limits = isSoak ? ['--steps', '10000'] : ['--seconds', '20']
  const { code: exitCode, output } = await ended(['scripts/fuzz/main.mjs', 'exactness', ...limits])
  t.log(output.trimEnd())
  t.is(exitCode, 0)
  t.regex(output, /: [1-9]\d* steps, 0 findings, seed \S/)
})

/**
 * Each vCPU, by its index in EDI, counts in ECX and in memory of its own, and shows what it counts
 * at a port of its own.
 */
const COUNTERS = `
  89 f8                ; mov %edi,%eax
  c1 e0 0c             ; shl $12,%eax
  05 00 00 01 00       ; add $0x10000,%eax
  89 c6                ; mov %eax,%esi
  66 ba 00 02          ; mov $0x200,%dx
  01 fa                ; add %edi,%edx
  ff c1                ; inc %ecx
  89 0e                ; mov %ecx,(%rsi)
  89 c8                ; mov %ecx,%eax
  ef                   ; out %eax,%dx
  ed                   ; in %dx,%eax
  01 46 04             ; add %eax,4(%rsi)
  eb f3                ; jmp .-11
`

const vcpus = 3

/** A route for each vCPU, whose handler waits once all have written so often; a run until then. */
function waiting() {
  const seen: number[][] = Array.from({ length: vcpus }, () => [])
  let [most, waits, arrived] = [0, 0, () => {}]
  const never = new Promise<never>(() => {})
  const routes = seen.map((mine, index) => {
    const write = (_offset: number, _size: number, value: number | bigint) => {
      if (mine.length < most) return void mine.push(Number(value))
      if (++waits === vcpus) arrived()
      return never
    }
    return { port: 0x200 + index, device: { write, read: () => mine.length * 3 + index } }
  })
  /** Until each vCPU has written so often and the last one wants to write again. */
  const until = async (vm: VirtualMachine, count: number) => {
    for (const each of seen) each.length = 0
    most = count
    waits = 0
    const there = new Promise<void>((resolve) => (arrived = resolve))
    const run = vm.run({ timeoutMs: 300_000 })
    // A run that is awaited keeps the process.
    await Promise.race([there, run])
    vm.stop()
    await run
    return structuredClone(seen)
  }
  return { until, routes }
}

kvmTest('several vCPUs go on as they did', async (t) => {
  const { until, routes } = waiting()
  using vm = machine(COUNTERS, routes, { vcpus })
  const stateOf = (one: VirtualMachine) => [
    one.vcpus.map((vcpu) => vcpu.registers()),
    one.vcpus.map((vcpu) => vcpu.specialRegisters()),
    one.vcpus.map(({ index }) => one.memory.readUint64(0x1_0000 + 0x1000 * index)),
  ]
  for (let round = 0; round < affordable(20); round++) {
    await until(vm, 1 + (round % 4))
    using base = vm.snapshot()
    const first = [await until(vm, 3), stateOf(vm)]
    vm.restore(base)
    const second = [await until(vm, 3), stateOf(vm)]
    using fork = new VirtualMachine({ snapshot: base })
    const third = [await until(fork, 3), stateOf(fork)]
    t.deepEqual(second, first)
    t.deepEqual(third, first)
  }
})
