// Memory by linear address: what `vm.virtual()` says, held to what a guest finds there.
import type { ExecutionContext } from 'ava'

import {
  type AccessExit,
  type Privilege,
  type RunResult,
  type SpecialRegistersUpdate,
  type Translation,
  type VirtualMachine,
  VmError,
  guests,
} from '../src/index.ts'
import { elfWithSymbols } from './helpers/elf-symbols.ts'
import { entry as start } from './helpers/elf.ts'
import { kvmTest, skipsMode } from './helpers/kvm.ts'
import { machine, pattern, vmError } from './helpers/machine.ts'

const PAGE = 0x1000
const MEMORY = 8 << 20
/** Our tables, and the pages that they map. */
const TABLES = 0x2_0000
const FRAMES = 0x10_0000
const LARGE_FRAME = 0x40_0000n
/** Where there is no memory. */
const OUTSIDE = 0x4000_0000n

/** kvm_pvm keeps it from ring 3, whatever tables say. */
const UPPER_HALF = 'in the upper half'

const ALL = 7n
const READ_ONLY = 5n
const OF_RING_0 = 3n
const ABSENT = 6n
const LARGE = 0x80n
const NX = 1n << 63n
const CR4_PAE = 0x20n
const EFER_NXE = 0x800n

/** Entries of a page table for a page of their own. */
const small: Record<string, (frame: bigint) => bigint> = {
  plain: (frame) => frame | ALL,
  'read-only': (frame) => frame | READ_ONLY,
  'of ring 0': (frame) => frame | OF_RING_0,
  'read-only, of ring 0': (frame) => frame | 1n,
  absent: (frame) => frame | ABSENT,
  'outside memory': () => OUTSIDE | ALL,
}
const smallOf64Bits: typeof small = {
  ...small,
  'not executable': (frame) => frame | ALL | NX,
  'above all memory': (frame) => frame | ALL | (1n << 51n),
}
/** Entries of the level above, which map 2 MiB. */
const large: Record<string, bigint> = {
  large: LARGE_FRAME | ALL | LARGE,
  'large and read-only': LARGE_FRAME | READ_ONLY | LARGE,
  'large and not executable': LARGE_FRAME | ALL | LARGE | NX,
  'large and not aligned': LARGE_FRAME | 0x2000n | ALL | LARGE,
  'table that is absent': 0n,
  'table outside memory': 0x7000_0000n | ALL,
  'table that is read-only': BigInt(TABLES + 2 * PAGE) | READ_ONLY,
}

/** Linear addresses that are mapped in many ways. */
interface Mapped {
  special: SpecialRegistersUpdate
  places: [name: string, address: bigint][]
}

function put(vm: VirtualMachine, bytes: number, table: number, index: number, entry: bigint): void {
  if (bytes === 8) vm.memory.writeUint64(table + index * 8, entry)
  else vm.memory.writeUint32(table + index * 4, Number(entry))
}

/** Fills a page table whose first address is `base`. */
function fillTable(vm: VirtualMachine, bytes: number, table: number, base: bigint) {
  const entries = Object.entries(bytes === 8 ? smallOf64Bits : small)
  return entries.map(([name, entry], index): [string, bigint] => {
    const frame = FRAMES + (entries.length - index) * PAGE
    put(vm, bytes, table, index, entry(BigInt(frame)))
    return [name, base + BigInt(index * PAGE) + 0x123n]
  })
}

/** Fills a page directory of 64-bit entries, from its second on. */
function fillDirectory(vm: VirtualMachine, directory: number, base: bigint) {
  return Object.entries(large).map(([name, entry], index): [string, bigint] => {
    put(vm, 8, directory, index + 1, entry)
    return [name, base + BigInt(index + 1) * 0x20_0000n + 0x123n]
  })
}

/** Forms of paging, each with what its tables are. */
const forms: Record<string, (vm: VirtualMachine) => Mapped> = {
  '4-level paging': (vm) => {
    const { cr3, efer } = vm.specialRegisters()
    const [pdpt, directory, table] = [TABLES, TABLES + PAGE, TABLES + 2 * PAGE]
    const base = 1n << 39n
    put(vm, 8, Number(cr3), 1, BigInt(pdpt) | ALL)
    put(vm, 8, Number(cr3), 2, BigInt(pdpt) | ALL | LARGE)
    put(vm, 8, Number(cr3), 256, BigInt(pdpt) | ALL)
    put(vm, 8, pdpt, 0, BigInt(directory) | ALL)
    put(vm, 8, pdpt, 1, ALL | LARGE)
    put(vm, 8, directory, 0, BigInt(table) | ALL)
    return {
      special: { efer: efer | EFER_NXE },
      places: [
        ...fillTable(vm, 8, table, base),
        ...fillDirectory(vm, directory, base),
        ['1 GiB', base + (1n << 30n) + 0x50_0123n],
        ['no pointers', base + (1n << 31n)],
        ['PS in the top table', (2n << 39n) + 0x123n],
        [UPPER_HALF, (0xffffn << 48n) | (1n << 47n) | 0x123n],
      ],
    }
  },
  'PAE paging': (vm) => {
    const { cr4, efer } = vm.specialRegisters()
    const [pdpt, own, directory, table] = [0, 3, 1, 2].map((index) => TABLES + index * PAGE)
    put(vm, 8, pdpt!, 0, BigInt(own!) | 1n)
    put(vm, 8, pdpt!, 1, BigInt(directory!) | 1n)
    put(vm, 8, own!, 0, ALL | LARGE)
    put(vm, 8, directory!, 0, BigInt(table!) | ALL)
    const base = 1n << 30n
    return {
      special: { cr3: BigInt(pdpt!), cr4: cr4 | CR4_PAE, efer: efer | EFER_NXE },
      places: [
        ...fillTable(vm, 8, table!, base),
        ...fillDirectory(vm, directory!, base),
        ['no pointer', 3n << 30n],
      ],
    }
  },
  '32-bit paging': (vm) => {
    const { cr3 } = vm.specialRegisters()
    const table = TABLES + 2 * PAGE
    put(vm, 4, Number(cr3), 256, BigInt(table) | ALL)
    put(vm, 4, Number(cr3), 257, LARGE_FRAME | READ_ONLY | LARGE)
    put(vm, 4, Number(cr3), 258, LARGE_FRAME | ALL | LARGE | (1n << 21n))
    put(vm, 4, Number(cr3), 259, 0n)
    const base = 1n << 30n
    const directory = ['large and read-only', 'large and not aligned', 'no table']
    return {
      special: {},
      places: [
        ...fillTable(vm, 4, table, base),
        ...directory.map((name, index): [string, bigint] => [
          name,
          base + BigInt(index + 1) * 0x40_0000n + 0x123n,
        ]),
      ],
    }
  },
}

const guestsOf = {
  // 0: mov rax, [rdi]; hlt. 4: mov [rdi], rax; hlt. 8: jmp rdi
  long: '48 8b 07 f4 48 89 07 f4 ff e7',
  paged32: '8b 07 f4 90 89 07 f4 90 ff e7',
}

const translation = (vm: VirtualMachine, address: bigint): Translation | undefined => {
  try {
    return vm.virtual().translate(address)
  } catch (error) {
    if (error instanceof VmError && error.code === 'ERR_GUEST_MEMORY') return undefined
    throw error
  }
}

/** What became of an instruction of the guest. */
interface Tried {
  result: RunResult
  accesses: AccessExit[]
  done: boolean
}

/** Lets the guest do one thing at an address. Its `hlt` ends it, which in ring 3 is a fault. */
function attempt(vm: VirtualMachine, mapped: Mapped, rip: bigint, rdi: bigint): Tried {
  vm.setSpecialRegisters(mapped.special)
  vm.setRegisters({ rip, rdi, rax: 0x1122_3344_5566_7788n })
  const accesses: AccessExit[] = []
  const result = vm.runSync({
    timeoutMs: 300_000,
    onExit: (exit) => {
      accesses.push(exit)
      return exit.reason === 'mmio-read' ? 0n : undefined
    },
  })
  const done = result.reason === 'hlt' || result.fault?.vector === 13
  // KVM on SVM resets a vCPU that shuts down.
  if (!done) vm.setSpecialRegisters(mapped.special)
  return { result, accesses, done }
}

const wide = { long: 8, paged32: 4 }

/** Everything that is said of an address, against what the guest meets there. */
function compare(
  t: ExecutionContext,
  vm: VirtualMachine,
  mapped: Mapped,
  [name, address]: [string, bigint],
  mode: 'long' | 'paged32',
  privilege: Privilege,
): boolean[] {
  const said = translation(vm, address)
  const reachable = said !== undefined && (privilege === 'kernel' || said.user)
  const outside = said !== undefined && said.gpa >= MEMORY

  const read = attempt(vm, mapped, 0n, address)
  t.is(read.done, reachable, `${name}: read, ${read.result}`)
  if (reachable && outside) {
    const [exit] = read.accesses
    t.like(exit, { reason: 'mmio-read', gpa: said.gpa }, name)
  }
  if (reachable && !outside) {
    const bytes = new Uint8Array(8)
    bytes.set(vm.virtual().read(address, wide[mode]))
    t.is(read.result.registers.rax, new DataView(bytes.buffer).getBigUint64(0, true), name)
  }

  const write = attempt(vm, mapped, 4n, address)
  const writable = reachable && said.writable
  t.is(write.done, writable, `${name}: write, ${write.result}`)
  if (writable && !outside) {
    const written = [0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11].slice(0, wide[mode])
    t.deepEqual([...vm.virtual().read(address, wide[mode])], written, name)
  }

  if (outside) return [reachable, writable]
  if (said) vm.virtual().write(address, Uint8Array.of(0xf4))
  const execute = attempt(vm, mapped, 8n, address)
  const executable = reachable && said.executable
  t.is(execute.done, executable, `${name}: execute, ${execute.result}`)
  return [reachable, writable, executable]
}

for (const [form, mode, privilege] of [
  ['4-level paging', 'long', 'kernel'],
  ['4-level paging', 'long', 'user'],
  ['PAE paging', 'paged32', 'kernel'],
  ['32-bit paging', 'paged32', 'kernel'],
] as const) {
  kvmTest(`${form}, ${privilege}: an address is what the guest finds there`, (t) => {
    if (skipsMode(t, mode, privilege)) return
    using vm = machine(guestsOf[mode], [], { mode, privilege, memoryBytes: MEMORY })
    vm.memory.write(FRAMES, pattern(16 * PAGE))
    vm.memory.write(Number(LARGE_FRAME), pattern(16 * PAGE))
    const mapped = forms[form]!(vm)
    mapped.special = { ...vm.specialRegisters(), ...mapped.special }
    vm.setSpecialRegisters(mapped.special)
    const places = mapped.places.filter(([name]) => privilege === 'kernel' || name !== UPPER_HALF)
    const seen = places.flatMap((place) => compare(t, vm, mapped, place, mode, privilege))
    t.true(seen.includes(true) && seen.includes(false))
  })
}

kvmTest('bytes are read and written across pages that lie apart', (t) => {
  using vm = machine(guestsOf.long, [], { memoryBytes: MEMORY })
  const { special } = forms['4-level paging']!(vm)
  vm.setSpecialRegisters(special)
  const table = TABLES + 2 * PAGE
  const frames = [5, 3, 4, 1].map((index) => FRAMES + index * PAGE)
  frames.forEach((frame, index) => put(vm, 8, table, index, BigInt(frame) | ALL))
  vm.memory.write(FRAMES, pattern(8 * PAGE))
  const base = 1n << 39n
  const whole = Buffer.concat(frames.map((frame) => vm.memory.read(frame, PAGE)))
  const virtual = vm.virtual()
  for (const [at, length] of [
    [0, 4 * PAGE],
    [PAGE - 1, 2],
    [PAGE + 5, 2 * PAGE],
    [7, 0],
  ] as const) {
    const bytes = virtual.read(base + BigInt(at), length)
    t.true(whole.subarray(at, at + length).equals(bytes), `${at} ${length}`)
  }
  virtual.write(base + BigInt(PAGE - 2), Uint8Array.of(1, 2, 3, 4))
  t.deepEqual([...vm.memory.read(frames[0]! + PAGE - 2, 2)], [1, 2])
  t.deepEqual([...vm.memory.read(frames[1]!, 2)], [3, 4])
  const result = attempt(vm, { special, places: [] }, 0n, base + BigInt(PAGE - 4))
  t.is((result.result.registers.rax >> 16n) & 0xffff_ffffn, 0x0403_0201n)
})

kvmTest('a hole is an error that says where it is, and nothing is written', (t) => {
  using vm = machine(guestsOf.long, [], { memoryBytes: MEMORY })
  const { special, places } = forms['4-level paging']!(vm)
  vm.setSpecialRegisters(special)
  const virtual = vm.virtual()
  const at = Object.fromEntries(places)
  const hole = (name: string, message: RegExp) => {
    const error = vmError('ERR_GUEST_MEMORY', message)
    t.throws(() => virtual.read(at[name]!, 1), error, name)
    t.throws(() => virtual.write(at[name]!, Uint8Array.of(1)), error, name)
    return error
  }
  hole('absent', /0x8000004123 has no page: the PT entry 0x\w+ is not present/)
  hole('above all memory', /the PT entry 0x8\w+ sets a reserved bit/)
  hole('table outside memory', /the PT lies outside guest memory/)
  hole('PS in the top table', /the PML4 entry 0x20087 sets a reserved bit/)
  hole('outside memory', /linear address 0x\w+: 1 bytes at gpa 0x40000123 are outside/)
  t.throws(() => virtual.translate(at['absent']!), vmError('ERR_GUEST_MEMORY', /at the PT$/))
  t.throws(() => virtual.translate(1n << 47n), vmError('ERR_GUEST_MEMORY', /non-canonical$/))
  t.throws(() => virtual.read(1n << 47n, 1), vmError('ERR_GUEST_MEMORY', /no such address/))

  const last = at['absent']! - 0x123n
  const before = virtual.read(last - 2n, 2)
  t.throws(() => virtual.write(last - 2n, pattern(4)), vmError('ERR_GUEST_MEMORY'))
  t.deepEqual(virtual.read(last - 2n, 2), before)
  // The last address, and beyond.
  const top = 2n ** 64n - 1n
  put(vm, 8, Number(vm.specialRegisters().cr3), 511, BigInt(TABLES) | ALL)
  put(vm, 8, TABLES, 511, BigInt(TABLES + PAGE) | ALL)
  put(vm, 8, TABLES + PAGE, 511, BigInt(TABLES + 2 * PAGE) | ALL)
  put(vm, 8, TABLES + 2 * PAGE, 511, BigInt(FRAMES) | ALL)
  t.is(virtual.translate(top).gpa, FRAMES + PAGE - 1)
  t.is(virtual.read(top, 1).length, 1)
  t.throws(() => virtual.read(top, 2), vmError('ERR_GUEST_MEMORY', /no linear address follows/))
})

kvmTest('a translation shows the entries that it stands on', (t) => {
  using vm = machine(guests.hello, [], { privilege: 'user' })
  const { cr3 } = vm.specialRegisters()
  const { walk, symbol, ...page } = vm.virtual().translate(0x1234n)
  const rights = { user: true, writable: true, executable: true }
  t.deepEqual(page, { gpa: 0x1234, pageBytes: 2 << 20, ...rights })
  t.is(symbol, undefined)
  t.deepEqual(
    walk.map(({ name, pageSize }) => [name, pageSize]),
    [
      ['PML4', false],
      ['PDPT', false],
      ['PD', true],
    ],
  )
  t.is(walk[0]!.gpa, Number(cr3))
  for (const { gpa, entry, present, user } of walk) {
    t.is(vm.memory.readUint64(gpa), entry)
    t.true(present && user)
  }
  // Ring 3 has none of our own tables.
  t.false(vm.virtual().translate(cr3).user)
})

kvmTest('tables that point to themselves are walked to their end', (t) => {
  using vm = machine(guests.hello)
  vm.memory.writeUint64(TABLES, BigInt(TABLES) | ALL)
  vm.setSpecialRegisters({ cr3: BigInt(TABLES) })
  const { gpa, walk } = vm.virtual().translate(0n)
  t.is(gpa, TABLES)
  t.deepEqual(
    walk.map((level) => level.gpa),
    [TABLES, TABLES, TABLES, TABLES],
  )
})

kvmTest('without paging a linear address is physical, and has 32 bits', (t) => {
  using vm = machine('f4 ; hlt', [], { mode: 'protected' })
  const page = { pageBytes: 4096, user: true, writable: true, executable: true }
  t.deepEqual(vm.virtual().translate(0x1_2345n), { gpa: 0x1_2345, ...page, walk: [] })
  t.deepEqual([...vm.virtual().read(0n, 1)], [0xf4])
  t.throws(() => vm.virtual().translate(1n << 32n), vmError('ERR_GUEST_MEMORY'))
})

kvmTest('every vCPU has tables of its own', (t) => {
  using vm = machine(guests.hello, [], { vcpus: 2 })
  vm.memory.writeUint64(TABLES, BigInt(TABLES) | ALL)
  vm.vcpus[1]!.setSpecialRegisters({ ...vm.specialRegisters(), cr3: BigInt(TABLES) })
  t.is(vm.virtual(1).vcpu, 1)
  t.is(vm.virtual(1).translate(0x10n).gpa, TABLES + 0x10)
  t.is(vm.virtual().translate(0x10n).gpa, 0x10)
})

kvmTest('an address may be a symbol of the image, and is named by one', (t) => {
  const names = [{ name: 'main', at: 0, bytes: 4 }]
  const image = elfWithSymbols(64, Uint8Array.of(0x90, 0x90, 0xf4, 0x90), names)
  using vm = machine(guests.hello, [], { memoryBytes: MEMORY, payload: { image } })
  const virtual = vm.virtual()
  t.deepEqual([...virtual.read('main+0x2', 1)], [0xf4])
  t.is(virtual.translate('main').gpa, start)
  t.is(virtual.translate(BigInt(start + 3)).symbol, 'main+0x3')
  virtual.write('main', Uint8Array.of(0xf4))
  t.is(vm.memory.readUint8(start), 0xf4)
})

kvmTest('wrong calls are refused', (t) => {
  using vm = machine(guests.hello)
  const virtual = vm.virtual()
  const invalid = vmError('ERR_INVALID_OPTION')
  for (const vcpu of [1, -1, 0.5, Number.NaN, '0', 0n])
    t.throws(() => vm.virtual(vcpu as number), invalid)
  for (const address of [0, -1n, 2n ** 64n, undefined, null, 'main', {}]) {
    t.throws(() => virtual.read(address as bigint, 1), invalid)
    t.throws(() => virtual.write(address as bigint, Uint8Array.of(1)), invalid)
    t.throws(() => virtual.translate(address as bigint), invalid)
  }
  for (const length of [-1, 0.5, Number.NaN, 1n])
    t.throws(() => virtual.read(0n, length as number), invalid)
  t.throws(() => virtual.write(0n, [1] as never), invalid)
  t.throws(() => virtual.read(0n, 2 ** 40), vmError('ERR_LIMIT'))
  vm.close()
  for (const call of [
    () => virtual.read(0n, 1),
    () => virtual.write(0n, Uint8Array.of(1)),
    () => virtual.translate(0n),
  ])
    t.throws(call, vmError('ERR_VM_CLOSED'))
})

kvmTest('a running machine is busy', async (t) => {
  using vm = machine(guests.spin)
  const virtual = vm.virtual()
  const run = vm.run()
  t.throws(() => virtual.translate(0n), vmError('ERR_VM_BUSY'))
  t.throws(() => virtual.read(0n, 1), vmError('ERR_VM_BUSY'))
  t.throws(() => virtual.write(0n, Uint8Array.of(1)), vmError('ERR_VM_BUSY'))
  vm.stop()
  await run
  t.is(virtual.read(0n, 1).length, 1)
})
