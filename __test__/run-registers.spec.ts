// Registers with a run: set before it, kept with its result, and read by the handlers that the vCPU
// waits for.
import { setTimeout as sleep } from 'node:timers/promises'

import {
  type Device,
  type DeviceContext,
  type Registers,
  type RunOptions,
  type Snapshot,
  type VirtualMachine,
  guests,
} from '../src/index.ts'
import { kvmTest, kvmTestBoth, modeRuns, runKinds } from './helpers/kvm.ts'
import { machine, vmError } from './helpers/machine.ts'

const busy = vmError('ERR_VM_BUSY')
const unanswered = vmError('ERR_UNANSWERED_READ')

const seven = `
  48 8d 47 07 ; lea 7(%rdi),%rax
  f4          ; hlt
`

/** Writes AL to port 0x60, and goes on with AL one more. */
const out = `
  e6 60 ; out %al,$0x60
  fe c0 ; inc %al
  f4    ; hlt
`

const input = `
  e4 60 ; in $0x60,%al
  f4    ; hlt
`

kvmTestBoth('a run with registers in and out calls a function', async (t, run) => {
  using vm = machine(seven)
  for (const rdi of [5n, 2n ** 64n - 8n, 0n]) {
    const { reason, registers } = await run(vm, { registers: { rip: 0n, rdi } })
    t.is(reason, 'hlt')
    t.is(registers.rax, BigInt.asUintN(64, rdi + 7n))
    t.is(registers.rip, 5n)
    t.deepEqual(registers, vm.registers())
  }
})

kvmTestBoth('registers that are not given keep their value', async (t, run) => {
  using vm = machine('f4 ; hlt')
  vm.setRegisters({ rbx: 1n, rcx: 2n })
  const { registers } = await run(vm, { registers: { rcx: 3n, rdx: undefined } as never })
  t.like(registers, { rbx: 1n, rcx: 3n, rdx: 0n, rip: 1n })
  const same = await run(vm, { registers: {} })
  t.is(same.registers.rcx, 3n)
})

kvmTestBoth('registers of no use are refused, and nothing runs', async (t, run) => {
  using vm = machine('f4 ; hlt')
  const invalid: readonly [unknown, RegExp][] = [
    [null, /^registers must be an object, got null$/],
    [7, /^registers must be an object, got 7$/],
    [[1n], /^registers must be an object, got an array of 1$/],
    [{ eax: 1n }, /^registers must be made of rax, .*, rflags, got .*unknown 'eax'/],
    [{ rax: 1 }, /^rax must be a bigint from 0 to 2\^64 - 1, got 1$/],
    [{ rax: -1n }, /^rax must be a bigint from 0 to 2\^64 - 1, got -1n$/],
    [{ rax: 2n ** 64n }, /^rax must be a bigint/],
    [{ rip: 0n, rflags: '2' }, /^rflags must be a bigint/],
  ]
  for (const [registers, message] of invalid) {
    const options = { registers } as unknown as RunOptions
    await t.throwsAsync(async () => run(vm, options), vmError('ERR_INVALID_OPTION', message))
  }
  t.is(vm.registers().rip, 0n)
  t.is(vm.counters().exits.hlt, 0)
})

kvmTestBoth('registers that are read by a getter count as it gives them, once', async (t, run) => {
  using vm = machine(seven)
  using other = machine('f4 ; hlt')
  let reads = 0
  const registers = {
    get rdi() {
      reads++
      // It may use the same words.
      other.setRegisters({ rdi: 77n })
      other.registers()
      return 5n
    },
    rip: 0n,
  }
  t.is((await run(vm, { registers })).registers.rax, 12n)
  t.is(reads, 1)
})

kvmTestBoth('while an unclaimed read waits, registers cannot be given', async (t, run) => {
  using vm = machine(input)
  const first = await run(vm)
  t.is(first.reason, 'pio-in')
  await t.throwsAsync(async () => run(vm, { registers: { rax: 1n } }), unanswered)
  // Of a read RIP is the instruction's, which has not happened.
  t.like(first.registers, { rip: 0n, rax: 0n })
  vm.reply(9)
  t.like(first.registers, { rip: 0n, rax: 0n })
  t.is((await run(vm, { registers: { rbx: 1n } })).registers.rax, 9n)
})

kvmTest('a closed or running machine takes no registers', async (t) => {
  const vm = machine('eb fe ; jmp .')
  const run = vm.run()
  t.throws(() => vm.runSync({ registers: { rax: 1n } }), busy)
  await t.throwsAsync(vm.run({ registers: { rax: 1n } }), busy)
  vm.stop()
  const { registers } = await run
  t.is(registers.rax, 0n)
  vm.close()
  t.throws(() => vm.runSync({ registers: { rax: 1n } }), vmError('ERR_VM_CLOSED'))
  t.is(registers.rip, 0n)
})

/** Ends after the same `out`, each in its own way. */
const ends: Readonly<
  Record<string, (run: (options?: RunOptions) => unknown, vm: VirtualMachine) => unknown>
> = {
  'an exit port': (run) => run(),
  'a device that stops the run': (run) => run(),
  onExit: (run, vm) => run({ onExit: () => vm.stop() }),
}

const routesOf = (how: string, stop: () => void) => {
  if (how === 'an exit port') return [{ port: 0x60, to: 'stop' as const }]
  if (how === 'onExit') return []
  return [{ port: 0x60, device: { write: stop } }]
}

for (const privilege of ['kernel', 'user'] as const) {
  for (const [how, end] of Object.entries(ends)) {
    kvmTestBoth(
      `${how}: registers are those after the write, whenever they are looked at (${privilege})`,
      async (t, run) => {
        let base: Snapshot | undefined
        const changes: Readonly<Record<string, (vm: VirtualMachine) => unknown>> = {
          nothing: () => undefined,
          setRegisters: (vm) => vm.setRegisters({ rax: 99n, rip: 0n }),
          setSpecialRegisters: (vm) => vm.setSpecialRegisters({ cr2: 5n }),
          'the next run': (vm) => run(vm, { timeoutMs: 1 }),
          'a run with registers': (vm) => run(vm, { timeoutMs: 1, registers: { rax: 98n } }),
          attach: (vm) => vm.attach({ port: 0x70, to: 'discard' }),
          snapshot: (vm) => vm.snapshot().close(),
          restore: (vm) => vm.restore(base!),
          close: (vm) => vm.close(),
        }
        for (const [name, change] of Object.entries(changes)) {
          let stop = (): void => undefined
          using vm = machine(
            out,
            routesOf(how, () => stop()),
            { privilege },
          )
          stop = () => vm.stop()
          vm.setRegisters({ rax: 0x41n })
          if (name === 'restore') base = vm.snapshot()
          const result = (await end((options) => run(vm, options), vm)) as Awaited<
            ReturnType<typeof run>
          >
          await change(vm)
          t.like(result.registers, { rax: 0x41n, rip: 2n }, name)
          t.is(result.registers, result.registers, name)
        }
      },
    )
  }
}

kvmTestBoth('results keep their registers, each its own', async (t, run) => {
  const loop = `
    48 ff c0 ; inc %rax
    f4       ; hlt
    eb fa    ; jmp .-4
  `
  using vm = machine(loop)
  const results = []
  for (let index = 0; index < 100; index++) results.push(await run(vm))
  vm.setRegisters({ rax: 0n })
  vm.close()
  const expected = results.map((_, index) => BigInt(index + 1))
  t.deepEqual(
    results.map(({ registers }) => registers.rax),
    expected,
  )
})

kvmTest('the registers of a result are not in the way when it is printed', (t) => {
  using vm = machine('f4 ; hlt')
  const result = vm.runSync()
  t.notRegex(String(result), /rax|registers/)
  t.false(Object.keys(result).includes('registers'))
})

kvmTest('of several vCPUs a result has the registers of the one that ended the run', async (t) => {
  const listing = `
    83 ff 02 ; cmp $2,%edi
    75 fe    ; 1: jne 1b
    b0 2a    ; mov $42,%al
    e6 f4    ; out %al,$0xf4
  `
  using vm = machine(listing, [{ port: 0xf4, to: 'stop' }], { vcpus: 4 })
  const result = await vm.run({ registers: { rbx: 7n } })
  t.is(result.vcpu, 2)
  t.like(result.registers, { rdi: 2n, rax: 42n, rbx: 0n })
  t.is(vm.registers().rbx, 7n)
  const none = await vm.run({ timeoutMs: 1 })
  if (none.vcpu === null) t.like(none.registers, { rdi: 0n, rbx: 7n })
})

/** A device that tells what it finds when it is asked. */
class Looks implements Device {
  context: DeviceContext | undefined
  readonly seen: Registers[] = []

  attach(context: DeviceContext): void {
    this.context = context
  }

  read(): number | Promise<number> {
    this.seen.push(this.context!.registers())
    return 0x42
  }

  write(): void {
    this.seen.push(this.context!.registers())
  }
}

for (const privilege of ['kernel', 'user'] as const) {
  kvmTestBoth(
    `a device sees the registers of the vCPU that asks, and no others (${privilege})`,
    async (t, run) => {
      if (!modeRuns('long', privilege).runs) return void t.pass()
      const listing = `
        e4 60    ; in $0x60,%al
        48 ff c3 ; inc %rbx
        e6 60    ; out %al,$0x60
        f4       ; hlt
      `
      const device = new Looks()
      const end = `${listing.replace('f4       ; hlt', 'e6 f4 ; out %al,$0xf4')}`
      const routes = [
        { port: 0x60, device },
        { port: 0xf4, to: 'stop' as const },
      ]
      using vm = machine(end, routes, { privilege })
      t.is(device.context!.registers().rbx, 0n)
      vm.setRegisters({ rbx: 5n, r15: 2n ** 64n - 1n })
      await run(vm)
      const [read, write] = device.seen
      t.like(read, { rbx: 5n, rax: 0n, r15: 2n ** 64n - 1n })
      t.like(write, { rbx: 6n, rax: 0x42n })
      t.is(device.context!.registers().rbx, 6n)
    },
  )
}

kvmTestBoth('onExit sees them until its answer', async (t, run) => {
  const twice = `
    e6 60 ; out %al,$0x60
    e6 60 ; out %al,$0x60
    f4    ; hlt
  `
  using vm = machine(twice)
  vm.setRegisters({ rax: 0x41n, rdx: 3n })
  const kept: (() => Registers)[] = []
  const result = await run(vm, {
    onExit(exit, { registers }) {
      t.is(exit.reason, 'pio-out')
      t.like(registers(), { rax: 0x41n, rdx: 3n })
      for (const earlier of kept) t.throws(earlier, busy)
      kept.push(registers)
    },
  })
  t.is(result.reason, 'hlt')
  t.is(kept.length, 2)
  for (const earlier of kept) t.throws(earlier, busy)
})

kvmTest('under run() they are valid until the promise is settled', async (t) => {
  using vm = machine(out)
  vm.setRegisters({ rax: 0x41n })
  const kept: (() => Registers)[] = []
  const result = await vm.run({
    async onExit(_exit, { registers }) {
      kept.push(registers)
      await sleep(2)
      // What others do meanwhile is not in the way.
      using other = machine(seven)
      other.runSync({ registers: { rdi: 1n } })
      t.is(registers().rax, 0x41n)
    },
  })
  t.is(result.registers.rax, 0x42n)
  t.throws(kept[0]!, busy)
})

kvmTest('a promise that a stop has cut off sees nothing any more', async (t) => {
  using vm = machine(out)
  let after: unknown
  const run = vm.run({
    async onExit(_exit, { registers }) {
      vm.stop()
      await sleep(5)
      try {
        registers()
      } catch (error) {
        after = error
      }
    },
  })
  t.is((await run).reason, 'stopped')
  await sleep(10)
  t.like(after, { code: 'ERR_VM_BUSY' })
})

kvmTest('a device with a promise sees the registers of its vCPU', async (t) => {
  let context: DeviceContext | undefined
  const device: Device = {
    attach(given) {
      context = given
    },
    async write() {
      await sleep(1)
      t.is(context!.registers().rax, 0x41n)
      await sleep(1)
      t.is(context!.registers().rax, 0x41n)
    },
  }
  using vm = machine(out, [{ port: 0x60, device }])
  vm.setRegisters({ rax: 0x41n })
  t.is((await vm.run()).registers.rax, 0x42n)
})

kvmTest('while several vCPUs wait for its promises, nothing tells which is meant', async (t) => {
  const listing = `
    89 f8 ; mov %edi,%eax
    85 ff ; test %edi,%edi
    74 03 ; je 1f
    e6 61 ; out %al,$0x61
    f4    ; hlt
    e6 60 ; 1: out %al,$0x60
    f4    ; hlt
  `
  let context: DeviceContext | undefined
  const early: bigint[] = []
  let late: unknown
  let meet: () => void = () => undefined
  const both = new Promise<void>((resolve) => {
    meet = resolve
  })
  const device: Device = {
    attach(given) {
      context = given
    },
    async write(_offset, _size, _value, vcpu) {
      early.push(context!.registers().rdi - BigInt(vcpu))
      if (early.length === 2) meet()
      await both
      try {
        context!.registers()
      } catch (error) {
        late = error
      }
      await sleep(5)
    },
  }
  const routes = [
    { port: 0x60, device },
    { port: 0x61, device },
  ]
  using vm = machine(listing, routes, { vcpus: 2 })
  await vm.run()
  t.deepEqual(early, [0n, 0n])
  t.like(late, { code: 'ERR_VM_BUSY' })
})

kvmTestBoth('each vCPU, and each machine, has its own', async (t, run) => {
  using inner = machine(out)
  using outer = machine(out)
  outer.setRegisters({ rax: 1n })
  inner.setRegisters({ rax: 2n })
  const seen: bigint[] = []
  await run(outer, {
    onExit(_exit, { registers }) {
      seen.push(registers().rax)
      inner.runSync({
        onExit(_inner, context) {
          seen.push(context.registers().rax, registers().rax)
        },
      })
      seen.push(registers().rax)
    },
  })
  t.deepEqual(seen, [1n, 2n, 1n, 1n])
})

kvmTestBoth('who is not asked sees none', async (t, run) => {
  let context: DeviceContext | undefined
  const device: Device = {
    attach(given) {
      context = given
    },
    read: () => 0,
  }
  const errors: unknown[] = []
  const onData = (): void => {
    try {
      context!.registers()
    } catch (error) {
      errors.push(error)
    }
  }
  const routes = [
    { port: 0x61, device },
    { port: 0x60, to: 'console' as const, onData },
  ]
  using vm = machine('e6 60 ; out %al,$0x60\ne4 61 ; in $0x61,%al\nf4 ; hlt', routes)
  await run(vm)
  t.true(errors.length > 0)
  for (const error of errors) t.like(error, { code: 'ERR_VM_BUSY' })
})

kvmTest('a machine that its handler closes has none', (t) => {
  const vm = machine(out)
  const code = vmError('ERR_VM_CLOSED')
  const run = () =>
    vm.runSync({
      onExit(_exit, { registers }) {
        vm.close()
        t.throws(registers, code)
      },
    })
  t.throws(run, code)
})

kvmTest('the embedded guest is called by both kinds of run alike', async (t) => {
  for (const run of Object.values(runKinds)) {
    using vm = machine('f4 ; hlt', [], { payload: guests.hello })
    const { registers } = await run(vm, { onExit: () => undefined })
    t.is(registers.rax, 42n)
  }
})
