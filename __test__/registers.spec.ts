// Register files, whole and in part, and a fifth mode made of them.
import type { Registers, SpecialRegistersUpdate } from '../src/index.ts'
import { kvmTest, kvmTestBoth, runKinds } from './helpers/kvm.ts'
import { code, machine, vmError } from './helpers/machine.ts'

const names = [
  ...['rax', 'rbx', 'rcx', 'rdx', 'rsi', 'rdi', 'rsp', 'rbp'],
  ...['r8', 'r9', 'r10', 'r11', 'r12', 'r13', 'r14', 'r15', 'rip', 'rflags'],
] as (keyof Registers)[]

/** A value of its own for each register; RIP canonical, RFLAGS with bit 1, which is always set. */
const distinct = Object.fromEntries(
  names.map((name, index) => [name, 0xf1e2_d3c4_b5a6_0000n + BigInt(index)]),
) as unknown as Registers
distinct.rip = 0x7123_4567_89abn
distinct.rflags = 0x8d7n

kvmTest('every general register keeps the value that it is given', (t) => {
  using vm = machine('f4 ; hlt')
  t.deepEqual(Object.keys(vm.registers()).toSorted(), [...names].toSorted())
  vm.setRegisters(distinct)
  t.deepEqual(vm.registers(), distinct)
  t.deepEqual(vm.vcpus[0].registers(), distinct)
  const largest = { rax: 2n ** 64n - 1n, r15: 0n }
  vm.setRegisters(largest)
  t.deepEqual(vm.registers(), { ...distinct, ...largest })
})

kvmTest('registers that are absent or undefined keep theirs', (t) => {
  using vm = machine('f4 ; hlt')
  vm.setRegisters(distinct)
  vm.setRegisters({})
  t.deepEqual(vm.registers(), distinct)
  vm.setRegisters({ rbx: undefined } as never)
  t.deepEqual(vm.registers(), distinct)
  for (const name of names.filter((register) => register !== 'rflags')) {
    vm.setRegisters({ [name]: 0x1234n })
    t.deepEqual(vm.registers(), { ...distinct, [name]: 0x1234n })
    vm.setRegisters({ [name]: distinct[name] })
  }
})

kvmTest('a guest starts with the registers that the README promises', (t) => {
  using vm = machine('f4 ; hlt')
  const expected = Object.fromEntries(names.map((name) => [name, 0n]))
  t.deepEqual(vm.registers(), { ...expected, rsp: 0x20_0000n, rflags: 2n } as never)
  const special = vm.specialRegisters()
  t.like(special.cs, { base: 0n, selector: 8, l: 1, db: 0, dpl: 0, present: 1, s: 1 })
  t.like(special.ds, { base: 0n, selector: 16, present: 1, s: 1 })
  // PE and PG; PAE; LME and LMA.
  t.is(special.cr0 & 0x8000_0001n, 0x8000_0001n)
  t.is(special.cr4 & 0x20n, 0x20n)
  t.is(special.efer & 0x500n, 0x500n)
  // SSE: MP without EM and TS; OSFXSR and OSXMMEXCPT. A TSS whose I/O bitmap ends with the last
  // port.
  t.is(special.cr0 & 0xen, 2n)
  t.is(special.cr4 & 0x600n, 0x600n)
  t.like(special.tr, { base: 0xfe00_1000n, limit: 0x2068, present: 1 })

  using user = machine('f4 ; hlt', [], { privilege: 'user' })
  t.is(user.registers().rflags, 0x3002n)
  t.like(user.specialRegisters(), {
    cs: { selector: 0x23, dpl: 3 },
    ss: { selector: 0x1b, dpl: 3 },
  })

  using real = machine('f4 ; hlt', [], { mode: 'real' })
  t.like(real.specialRegisters(), { cs: { base: 0n, selector: 0 }, ss: { base: 0n } })
  t.is(real.specialRegisters().cr0 & 0x8000_0001n, 0n)
})

const wrongGeneral: [unknown, RegExp][] = [
  [undefined, /^registers must be an object, got undefined$/],
  [null, /^registers must be an object, got null$/],
  [5n, /^registers must be an object, got 5n$/],
  [[], /^registers must be an object, got an array of 0$/],
  [{ eax: 1n }, /^registers must be made of rax, .*, got .*unknown 'eax'/],
  [{ rax: 1 }, /^rax must be a bigint from 0 to 2\^64 - 1, got 1$/],
  [{ rax: '1' }, /^rax must be .*, got "1"$/],
  [{ rax: null }, /^rax must be .*, got null$/],
  [{ r8: -1n }, /^r8 must be .*, got -1n$/],
  [{ rip: 2n ** 64n }, /^rip must be .*, got 18446744073709551616n$/],
  [{ rbx: 1n, rflags: Number.NaN }, /^rflags must be .*, got NaN$/],
]

const wrongSpecial: [unknown, RegExp][] = [
  [undefined, /^special registers must be an object, got undefined$/],
  [[], /^special registers must be an object, got an array of 0$/],
  [{ cr1: 0n }, /^special registers must be made of cs, .*apicBase, got .*unknown 'cr1'/],
  [{ control: {} }, /unknown 'control'/],
  [{ cr0: 1 }, /^cr0 must be a bigint from 0 to 2\^64 - 1, got 1$/],
  [{ efer: -1n }, /^efer must be .*, got -1n$/],
  [{ cs: 8 }, /^cs must be an object, got 8$/],
  [{ cs: null }, /^cs must be an object, got null$/],
  [{ cs: { foo: 1 } }, /^cs must be made of base, limit, .*, got .*unknown 'foo'/],
  [{ cs: { base: 1 } }, /^cs\.base must be a bigint from 0 to 2\^64 - 1, got 1$/],
  [
    { ds: { limit: 2 ** 32 } },
    /^ds\.limit must be a whole number from 0 to 4294967295, got 4294967296$/,
  ],
  [{ es: { selector: 0x1_0000 } }, /^es\.selector must be .* 0 to 65535, got 65536$/],
  [{ fs: { type: 16 } }, /^fs\.type must be .* 0 to 15, got 16$/],
  [{ gs: { dpl: 4 } }, /^gs\.dpl must be .* 0 to 3, got 4$/],
  [{ ss: { present: 2 } }, /^ss\.present must be .* 0 to 1, got 2$/],
  [{ ss: { dpl: true } }, /^ss\.dpl must be .* 0 to 3, got true$/],
  [{ tr: { g: -1 } }, /^tr\.g must be .* 0 to 1, got -1$/],
  [{ ldt: { avl: 1n } }, /^ldt\.avl must be .* 0 to 1, got 1n$/],
  [{ cs: { l: '1' } }, /^cs\.l must be .* 0 to 1, got "1"$/],
  [{ gdt: 1n }, /^gdt must be an object, got 1n$/],
  [{ gdt: { size: 1 } }, /^gdt must be made of base, limit, got .*unknown 'size'/],
  [{ gdt: { base: 0 } }, /^gdt\.base must be a bigint/],
  [{ idt: { limit: 0x1_0000 } }, /^idt\.limit must be .* 0 to 65535, got 65536$/],
  [{ cs: { limit: 5 }, cr4: 'x' }, /^cr4 must be .*, got "x"$/],
]

kvmTest('a wrong register changes none', (t) => {
  using vm = machine('f4 ; hlt')
  const before = [vm.registers(), vm.specialRegisters()]
  for (const [value, message] of wrongGeneral) {
    const expected = vmError('ERR_INVALID_OPTION', message)
    t.throws(() => vm.setRegisters(value as never), expected, String(message))
  }
  for (const [value, message] of wrongSpecial) {
    const expected = vmError('ERR_INVALID_OPTION', message)
    t.throws(() => vm.setSpecialRegisters(value as never), expected, String(message))
  }
  t.deepEqual([vm.registers(), vm.specialRegisters()], before)
})

kvmTest('registers that contradict each other are an error that says how', (t) => {
  using vm = machine('f4 ; hlt', [], { mode: 'protected' })
  const before = vm.specialRegisters()
  const refused: [SpecialRegistersUpdate, RegExp][] = [
    [{ cr0: 1n << 31n }, /; PG \(bit 31\) of cr0 needs PE \(bit 0\)$/],
    [{ cr0: before.cr0 | (1n << 40n) }, /; cr0 has bits above 31$/],
    [{ efer: 1n << 10n }, /; LMA \(bit 10\) of efer needs LME/],
    [{ cs: { l: 1 } }, /; cs\.l needs LME/],
    [{ cr4: 1n << 63n }, /; a bit that this vCPU reserves .*cr4 \(0x8000000000000000\)/],
  ]
  for (const [update, message] of refused) {
    const error = t.throws(() => vm.setSpecialRegisters(update), vmError('ERR_KVM_IOCTL', message))
    t.like(error, { call: 'KVM_SET_SREGS', errno: 22 })
  }
  t.throws(
    () => vm.setSpecialRegisters({ cr8: 16n }),
    vmError('ERR_INVALID_OPTION', /^cr8 must be from 0 to 15, got 16$/),
  )
  t.deepEqual(vm.specialRegisters(), before)
  t.is(vm.runSync().reason, 'hlt')
})

kvmTest('special registers are read whole and set in part', (t) => {
  using vm = machine('f4 ; hlt', [], { mode: 'protected' })
  const before = vm.specialRegisters()
  const segment = ['base', 'limit', 'selector', 'type', 'present', 'dpl', 'db', 's', 'l', 'g']
  for (const name of ['cs', 'ds', 'es', 'fs', 'gs', 'ss', 'tr', 'ldt'] as const) {
    t.deepEqual(Object.keys(before[name]).toSorted(), [...segment, 'avl', 'unusable'].toSorted())
    t.is(typeof before[name].base, 'bigint')
  }
  t.deepEqual(Object.keys(before.gdt).toSorted(), ['base', 'limit'])
  // Flat 32-bit segments, as guest/README.md says; the table is five descriptors.
  t.like(before.cs, { base: 0n, limit: 0xffff_ffff, selector: 8, db: 1, l: 0, g: 1 })
  t.like(before.gdt, { base: 0xfe00_0000n, limit: 5 * 8 - 1 })

  const updates: SpecialRegistersUpdate[] = [
    { cr2: 0xdead_beefn },
    { ds: { base: 0x1_2345n } },
    // KVMs may derive G from the limit, so it stays above 1 MiB.
    { ds: { limit: 0xfffe_ffff, selector: 0x18 }, fs: { base: 1n } },
    { idt: { base: 0x5000n } },
    { idt: { limit: 0x7ff } },
    { gdt: { limit: 0x2f }, cr2: 0n },
    {},
  ]
  let expected = before
  for (const update of updates) {
    vm.setSpecialRegisters(update)
    const merged = Object.entries(update).map(([name, value]) => {
      const old = expected[name as keyof typeof expected]
      return [name, typeof value === 'bigint' ? value : { ...(old as object), ...value }]
    })
    expected = { ...expected, ...Object.fromEntries(merged) }
    t.deepEqual(vm.specialRegisters(), expected)
    t.deepEqual(vm.vcpus[0].specialRegisters(), expected)
  }
  vm.setSpecialRegisters({ es: { avl: true } })
  t.is(vm.specialRegisters().es.avl, 1)
})

const segment16 = { limit: 0xffff, db: 0, g: 0 }

kvmTestBoth('a fifth mode: 16-bit protected mode', async (t, run) => {
  // As 32-bit code, the first MOV would swallow the second, and SMSW tells that PE is set.
  const guest = code(`
    b8 34 12          ; mov $0x1234,%ax
    bb 78 56          ; mov $0x5678,%bx
    0f 01 e1          ; smsw %cx
    c7 06 00 04 2a 00 ; movw $42,(0x400)
    50                ; push %ax
    89 e2             ; mov %sp,%dx
    f4                ; hlt
  `)
  using vm = machine('', [], { mode: 'protected', payload: { image: guest, loadGpa: 0x1_0000 } })
  vm.setSpecialRegisters({
    cs: { ...segment16, base: 0x1_0000n },
    ds: { ...segment16, base: 0x2_0000n },
    ss: { ...segment16, base: 0x3_0000n },
  })
  vm.setRegisters({ rip: 0n, rsp: 0xffff_8000n })
  t.is((await run(vm)).reason, 'hlt')
  const { rax, rbx, rcx, rdx, rsp, rip } = vm.registers()
  t.deepEqual([rax, rbx, rcx & 1n], [0x1234n, 0x5678n, 1n])
  t.is(rip, BigInt(guest.length))
  // The segments' bases count, and a 16-bit stack leaves the upper half of ESP alone.
  t.is(vm.memory.readUint16(0x2_0400), 42)
  t.deepEqual([rdx, rsp], [0x7ffen, 0xffff_7ffen])
  t.is(vm.memory.readUint16(0x3_7ffe), 0x1234)
})

kvmTest('registers set between runs are what the guest goes on with', async (t) => {
  // 1: out %al,$0x60; jmp 1b
  using vm = machine('e6 60 eb fc')
  for (const value of [1n, 0x80n, 0xffn]) {
    vm.setRegisters({ rax: value })
    const { exit } = await runKinds.runSync(vm)
    t.like(exit, { reason: 'pio-out', value: Number(value) })
    t.is(vm.registers().rax, value)
  }
  vm.setRegisters({ rip: 0x1000n })
  vm.memory.write(0x1000, code('b0 05 f4 ; mov $5,%al; hlt'))
  t.is((await runKinds.run(vm)).reason, 'hlt')
  t.is(vm.registers().rax, 5n)
})

kvmTest(
  'registers cannot be reached while the guest runs, or when the machine is closed',
  async (t) => {
    const calls: ((vm: ReturnType<typeof machine>) => unknown)[] = [
      (vm) => vm.registers(),
      (vm) => vm.setRegisters({ rax: 1n }),
      (vm) => vm.specialRegisters(),
      (vm) => vm.setSpecialRegisters({ cr2: 1n }),
      (vm) => vm.reply(1),
    ]
    const vm = machine('eb fe ; jmp to itself')
    const running = vm.run({ timeoutMs: 60_000 })
    for (const call of calls) t.throws(() => call(vm), vmError('ERR_VM_BUSY'))
    vm.stop()
    t.is((await running).reason, 'stopped')
    t.is(vm.registers().rip, 0n)
    vm.close()
    for (const call of calls) t.throws(() => call(vm), vmError('ERR_VM_CLOSED'))
  },
)
