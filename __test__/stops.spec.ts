// Steps, breakpoints and watchpoints, in every mode and ring, by whatever this KVM stops with.
import type { ExecutionContext } from 'ava'

import type {
  Breakpoint,
  Registers,
  RunResult,
  StopHit,
  VirtualMachine,
  VirtualMachineOptions,
} from '../src/index.ts'
import { kvmTest, kvmTestBoth } from './helpers/kvm.ts'
import { machine, vmError } from './helpers/machine.ts'

/** Three times `inc`, in the size of any mode; then the end. */
const COUNT = `
  ff c0  ; inc %eax
  ff c0  ; inc %eax
  ff c0  ; inc %eax
  e6 f4  ; out %al,$0xf4
  eb fc  ; jmp to the out
`
const ROUTES = [{ port: 0xf4, to: 'stop' }] as const

const places: Record<string, Partial<VirtualMachineOptions>> = {
  'real mode': { mode: 'real' },
  'protected mode': { mode: 'protected' },
  'long mode': { mode: 'long' },
  'ring 3': { mode: 'long', privilege: 'user' },
  'real mode with an irqchip': { mode: 'real', irqchip: true },
  'protected mode with an irqchip': { mode: 'protected', irqchip: true },
  'long mode with an irqchip': { mode: 'long', irqchip: true },
}

function counting(options: Partial<VirtualMachineOptions>): VirtualMachine {
  return machine(COUNT, ROUTES, options)
}

for (const [place, options] of Object.entries(places)) {
  kvmTest(`a breakpoint stops before its instruction, and the next run goes on: ${place}`, (t) => {
    using vm = counting(options)
    const before = vm.memory.read(0, 16)
    using point = vm.debug.breakpoint(4n)
    const result = vm.runSync({ timeoutMs: 300_000 })
    t.is(result.reason, 'breakpoint')
    t.deepEqual([result.hit?.address, result.vcpu, result.exit], [4n, 0, null])
    t.deepEqual([vm.registers().rip, vm.registers().rax & 0xffn], [4n, 2n])
    t.is(result.registers.rip, 4n)
    t.deepEqual(vm.memory.read(0, 16), before, 'no byte of ours is left')
    t.is(vm.runSync({ timeoutMs: 300_000 }).exitCode, 3)
    t.is(point.hits, 1)
  })

  kvmTest(
    `a breakpoint at the first instruction is one, and so is one after a step: ${place}`,
    (t) => {
      using vm = counting(options)
      using first = vm.debug.breakpoint(0n)
      t.is(vm.runSync({ timeoutMs: 300_000 }).hit?.address, 0n)
      first.remove()
      t.is(vm.stepSync().hit?.address, 2n)
      using second = vm.debug.breakpoint(2n)
      t.is(vm.runSync({ timeoutMs: 300_000 }).reason, 'breakpoint')
      t.deepEqual([first.hits, second.hits], [1, 1])
      t.is(vm.runSync({ timeoutMs: 300_000 }).exitCode, 3)
    },
  )

  kvmTest(`instructions are counted one by one: ${place}`, (t) => {
    using vm = counting(options)
    const result = vm.stepSync()
    t.deepEqual([result.reason, result.hit?.address], ['step', 2n])
    t.is(vm.registers().rip, 2n)
    t.is(vm.stepSync({ count: 2 }).hit?.address, 6n)
    const end = vm.stepSync()
    t.deepEqual([end.reason, end.exitCode], ['exit-port', 3])
    t.is(vm.stepSync().hit?.address, 6n, 'the jump, as the write was done')
  })

  kvmTest(`a limit of instructions ends a run as so many steps do: ${place}`, (t) => {
    using vm = counting(options)
    const result = vm.runSync({ maxInstructions: 2 })
    t.is(result.reason, 'instruction-limit')
    t.is(vm.registers().rip, 4n)
    t.is(vm.runSync({ maxInstructions: 10 }).exitCode, 3)
  })

  kvmTest(`a watchpoint sees every store, and no other access: ${place}`, (t) => {
    const long = `
      b0 05           ; mov $5,%al
      a2 00 08 00 00 00 00 00 00 ; movabs %al,0x800
      8a 0c 25 00 08 00 00 ; mov 0x800,%cl
      a2 00 08 00 00 00 00 00 00 ; movabs %al,0x800
      fe c0           ; inc %al
      a2 01 08 00 00 00 00 00 00 ; movabs %al,0x801
      e6 f4           ; out %al,$0xf4
    `
    const wide = `
      b0 05           ; mov $5,%al
      a2 00 08 00 00  ; mov %al,0x800
      8a 0d 00 08 00 00 ; mov 0x800,%cl
      a2 00 08 00 00  ; mov %al,0x800
      fe c0           ; inc %al
      a2 01 08 00 00  ; mov %al,0x801
      e6 f4           ; out %al,$0xf4
    `
    const narrow = `
      b0 05           ; mov $5,%al
      a2 00 08        ; mov %al,0x800
      8a 0e 00 08     ; mov 0x800,%cl
      a2 00 08        ; mov %al,0x800
      fe c0           ; inc %al
      a2 01 08        ; mov %al,0x801
      e6 f4           ; out %al,$0xf4
    `
    const listing = { long, protected: wide, paged32: wide, real: narrow }[options.mode!]
    using vm = machine(listing, ROUTES, options)
    const seen: unknown[] = []
    using watch = vm.debug.watch(0x800n, { size: 2, on: 'write' }, ({ kind, before, after }) => {
      seen.push([kind, before?.join(), after?.join()])
    })
    t.is(vm.runSync({ timeoutMs: 300_000 }).exitCode, 6)
    t.deepEqual(seen, [
      ['watchpoint', '0,0', '5,0'],
      ['watchpoint', '5,0', '5,0'],
      ['watchpoint', '5,0', '5,6'],
    ])
    t.is(watch.hits, 3)
  })
}

kvmTestBoth('a handler decides whether the run goes on, and sees registers', async (t, run) => {
  using vm = counting({})
  const seen: bigint[] = []
  const handler = ({ address, registers, vcpu, kind }: StopHit) => {
    t.deepEqual([vcpu, kind], [0, 'breakpoint'])
    seen.push(address, registers().rax, registers().rip)
    return address === 4n ? 'stop' : undefined
  }
  vm.debug.breakpoint(2, handler)
  vm.debug.breakpoint({ gpa: 4 }, handler)
  const result = await run(vm, { timeoutMs: 300_000 })
  t.is(result.reason, 'breakpoint')
  t.deepEqual(seen, [2n, 1n, 2n, 4n, 2n, 4n])
  t.is((await run(vm)).exitCode, 3)
})

kvmTest('a handler may promise its answer, and the machine be paused until then', async (t) => {
  using vm = counting({})
  let answer = () => {}
  let point: Breakpoint | undefined
  let run: Promise<RunResult> | undefined
  const hit = await new Promise<StopHit>((resolve) => {
    point = vm.debug.breakpoint(2n, (found) => {
      resolve(found)
      return new Promise<void>((done) => (answer = done))
    })
    run = vm.run()
    // Awaited, so that the process lasts.
    run.then(
      () => undefined,
      () => undefined,
    )
  })
  t.is(hit.registers().rax, 1n)
  await vm.pause()
  t.true(vm.paused)
  t.is(vm.registers().rip, 2n)
  vm.setRegisters({ rax: 40n })
  t.throws(() => vm.runSync(), vmError('ERR_VM_BUSY'))
  vm.resume()
  answer()
  t.is((await run)?.exitCode, 42)
  t.is(point?.hits, 1)
  t.throws(() => hit.registers(), vmError('ERR_VM_BUSY'))
})

kvmTest('stops come and go while a run is paused', async (t) => {
  using vm = machine('ff c0 eb fc') // 1: inc eax; jmp 1b
  const run = vm.run()
  t.throws(() => vm.debug.breakpoint(0n), vmError('ERR_VM_BUSY'))
  await vm.pause()
  const point = vm.debug.breakpoint(2n)
  vm.resume()
  t.is((await run).reason, 'breakpoint')
  point.remove()
  point.remove()
  t.is(vm.runSync({ timeoutMs: 5 }).reason, 'timeout')
})

kvmTest('until ends a step, and count bounds it', async (t) => {
  using vm = machine('ff c0 eb fc')
  t.is((await vm.step({ until: ({ rax }) => rax === 3n })).reason, 'step')
  t.deepEqual([vm.registers().rax, vm.registers().rip], [3n, 2n])
  const bounded = vm.stepSync({ count: 4, until: () => false })
  t.is(bounded.reason, 'step')
  t.is(vm.registers().rax, 5n)
})

kvmTest(
  'until may promise its answer to step, and to stepSync a promise is an error',
  async (t) => {
    using vm = machine('ff c0 eb fc')
    const until = async ({ rax }: Registers): Promise<boolean> => rax === 3n
    t.is((await vm.step({ count: 100, until })).reason, 'step')
    t.is(vm.registers().rax, 3n)
    const rejects = (): Promise<boolean> => Promise.reject(new Error('no'))
    await t.throwsAsync(() => vm.step({ until: rejects }), { code: 'ERR_HANDLER', message: /no$/ })
    const wrong = { count: 4, until } as unknown as { until: () => boolean }
    t.throws(() => vm.stepSync(wrong), { code: 'ERR_ASYNC_HANDLER' })
  },
)

/** pushf; popf; pushf; pop of (r)ax; out: what a debugger lends of the flags is not in them. */
const FLAGS = '9c 9d 9c 58 e6 f4'
for (const [place, options] of Object.entries(places)) {
  kvmTest(`a guest that saves its flags finds its own, stepped or stopped: ${place}`, (t) => {
    const endOf = (prepare: (vm: VirtualMachine) => unknown): unknown => {
      using vm = machine(FLAGS, ROUTES, options)
      prepare(vm)
      const { reason, exitCode } = vm.runSync()
      const { rsp } = vm.registers()
      // In real mode the stack has wrapped to the end of its segment.
      const below = rsp === 0n ? 0x1_0000 : Number(rsp)
      return [reason, exitCode, vm.registers(), vm.memory.read(below - 16, 16)]
    }
    const free = endOf(() => {})
    t.deepEqual(
      endOf((vm) => vm.debug.onStep(() => {})),
      free,
    )
    for (const at of [0n, 1n, 2n, 3n])
      t.deepEqual(
        endOf((vm) => vm.debug.breakpoint(at, () => {})),
        free,
        String(at),
      )
  })
}

kvmTest('null is no option of a step, and maxInstructions is none', (t) => {
  using vm = machine('ff c0 eb fc')
  for (const wrong of [
    null,
    { vcpu: null },
    { count: null },
    { until: null },
    { maxInstructions: 5 },
  ])
    t.throws(() => vm.stepSync(wrong as never), vmError('ERR_INVALID_OPTION'))
})

kvmTest('every instruction can be looked at', (t) => {
  using vm = counting({})
  const addresses: bigint[] = []
  using steps = vm.debug.onStep(({ kind, address }) => {
    t.is(kind, 'step')
    addresses.push(address)
  })
  t.is(vm.runSync().exitCode, 3)
  t.deepEqual(addresses, [2n, 4n, 6n])
  t.is(steps.hits, 3)
})

kvmTest('a step of one vCPU leaves the others where they are', async (t) => {
  using vm = machine('ff c0 eb fc', [], { irqchip: true, vcpus: 2 })
  const before = vm.vcpus[1]!.registers()
  t.is(vm.stepSync({ count: 3 }).reason, 'step')
  t.is((await vm.step({ count: 3 })).vcpu, 0)
  t.is(vm.vcpus[0].registers().rax, 3n)
  t.deepEqual(vm.vcpus[1]!.registers(), before)
})

kvmTest('a snapshot has no breakpoint and no byte of one', async (t) => {
  using vm = counting({})
  const original = vm.memory.read(0, 16)
  const forks: Promise<number | undefined>[] = []
  vm.debug.breakpoint(2n, async () => {
    await vm.pause()
    using base = vm.snapshot()
    t.is(base.registers.rip, 2n)
    const fork = vm.fork()
    t.deepEqual(fork.memory.read(0, 16), original)
    forks.push(
      fork
        .run()
        .then(({ exitCode }) => exitCode)
        .finally(() => fork.close()),
    )
    vm.resume()
  })
  t.is((await vm.run()).exitCode, 3)
  t.deepEqual(await Promise.all(forks), [3])
})

kvmTest('a restore takes a vCPU back to where its breakpoint is to come', (t) => {
  using vm = counting({})
  using base = vm.snapshot()
  using point = vm.debug.breakpoint(0n)
  for (let round = 1; round <= 3; round++) {
    t.is(vm.runSync().reason, 'breakpoint')
    t.is(point.hits, round)
    vm.restore(base)
  }
})

kvmTest('a handler that throws ends the run with its error', (t) => {
  using vm = counting({})
  const cause = new Error('mine')
  vm.debug.breakpoint(2n, () => {
    throw cause
  })
  const error = t.throws(() => vm.runSync(), vmError('ERR_HANDLER', /the handler of a stop/))
  t.is(error.cause, cause)
})

kvmTest('what is no stop is refused', (t: ExecutionContext) => {
  using vm = counting({})
  const { debug } = vm
  t.throws(() => debug.breakpoint('main'), vmError('ERR_INVALID_OPTION', /no symbols/))
  t.throws(() => debug.breakpoint(-1n), vmError('ERR_INVALID_OPTION', /address/))
  t.throws(
    () => debug.watch(0n, { size: 3 as 4, on: 'write' }),
    vmError('ERR_INVALID_OPTION', /size/),
  )
  t.throws(
    () => debug.watch(0n, { size: 4, on: 'all' as 'write' }),
    vmError('ERR_INVALID_OPTION', /on/),
  )
  t.throws(() => debug.onStep(() => undefined, { vcpu: 1 }), vmError('ERR_INVALID_OPTION', /vcpu/))
  t.throws(() => vm.stepSync({ count: 0 }), vmError('ERR_INVALID_OPTION', /count/))
  t.throws(() => vm.runSync({ maxInstructions: 0.5 }), vmError('ERR_INVALID_OPTION', /maxInstr/))
  for (let count = 0; count < 256; count++) debug.breakpoint(0x100n + BigInt(count))
  t.throws(() => debug.breakpoint(0n), vmError('ERR_LIMIT'))
})

kvmTest('a breakpoint follows its address to another page under the same page tables', (t) => {
  // out %al,$0xe9 lets the host remap; jmp *%rbx goes to the page at 2 MiB
  using vm = machine('e6 e9 ff e3', [{ port: 0xe9, device: { write: () => remap() } }, ...ROUTES], {
    memoryBytes: 8 << 20,
  })
  const { cr3 } = vm.specialRegisters()
  const { walk } = vm.virtual().translate(0x20_0000n)
  const entry = walk.at(-1)!
  // Both pages end the run, with another code each.
  vm.memory.write(0x20_0000, Uint8Array.of(0xb0, 1, 0xe6, 0xf4))
  vm.memory.write(0x40_0000, Uint8Array.of(0xb0, 2, 0xe6, 0xf4))
  const remap = () => vm.memory.writeUint64(Number(entry.gpa), entry.entry + 0x20_0000n)
  vm.setRegisters({ rbx: 0x20_0000n })
  using point = vm.debug.breakpoint(0x20_0000n, () => undefined)
  const result = vm.runSync({ timeoutMs: 300_000 })
  t.deepEqual([result.exitCode, point.hits], [2, 1])
  t.is(vm.specialRegisters().cr3, cr3)
})
