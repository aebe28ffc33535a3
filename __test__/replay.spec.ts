// The last instruction of a guest that shuts down, found again from a snapshot.
import { type ReplayScene, replayScene } from '../src/debug/replay.ts'
import { Snapshot } from '../src/index.ts'
import { contentOf } from '../src/machine/snapshot/snapshot.ts'
import { kvmTest } from './helpers/kvm.ts'
import { machine } from './helpers/machine.ts'

const replayed = (snapshot: Snapshot) => replayScene(contentOf(snapshot).native)

for (const privilege of ['kernel', 'user'] as const) {
  kvmTest(`a replay gives the registers before the last instruction: ${privilege}`, (t) => {
    using vm = machine('b9 07 00 00 00 90 0f 0b ; mov $7,%ecx; nop; ud2', [], {
      privilege,
      faults: 'off',
    })
    const special = vm.specialRegisters()
    using base = vm.snapshot()
    t.is(vm.runSync().reason, 'shutdown')
    const scene = replayed(base)
    t.is(scene.vector, 6)
    t.like(scene.registers, { rip: 6n, rcx: 7n })
    t.like(scene.special, { cr3: special.cr3, cs: special.cs, idt: special.idt })
  })
}

kvmTest('a replay answers what handlers would have answered, and says so', (t) => {
  using vm = machine('e4 10 e6 11 0f 0b ; in $0x10,%al; out %al,$0x11; ud2')
  using base = vm.snapshot()
  const scene = replayed(base)
  t.like(scene.registers, { rip: 4n, rax: 0xffn })
  t.regex(scene.notes.at(-1)!, /^the replay answered 2 accesses by itself/)
})

kvmTest('a replay that comes to no shutdown says how it ended', (t) => {
  using vm = machine('f4 ; hlt')
  using base = vm.snapshot()
  const none = { registers: null, special: null, vector: null }
  t.deepEqual(replayed(base), { ...none, notes: ["the replay ended with 'hlt'"] })
})

kvmTest('a replay needs a machine with one vCPU, and an open snapshot', (t) => {
  using vm = machine('0f 0b ; ud2', [], { vcpus: 2 })
  using base = vm.snapshot()
  t.throws(() => replayed(base), { code: 'ERR_INVALID_OPTION', message: /one vCPU.* has 2/ })
  base.close()
  t.throws(() => replayed(base), { code: 'ERR_SNAPSHOT' })
})

/** Guests of ring 0 in long mode with own page tables, and what ends each on every KVM. */
const ends: readonly (readonly [
  about: string,
  listing: string,
  entry: bigint,
  end: Pick<ReplayScene, 'vector' | 'errorCode' | 'address'> & { rip: bigint },
])[] = [
  [
    'a page that is not there',
    '90 8b 04 25 00 20 00 00 ; nop; mov 0x2000,%eax',
    0n,
    { vector: 14, errorCode: 0, address: 0x2000n, rip: 1n },
  ],
  [
    'a write to a page that may only be read',
    '90 89 04 25 00 20 00 00 ; nop; mov %eax,0x2000',
    0x2001n,
    { vector: 14, errorCode: 3, address: 0x2000n, rip: 1n },
  ],
  [
    'code that may not be run',
    'b8 00 20 00 00 ff e0 ; mov $0x2000,%eax; jmp *%rax',
    0x2003n | (1n << 63n),
    { vector: 14, errorCode: 0x11, address: 0x2000n, rip: 0x2000n },
  ],
  [
    'an address that is not canonical',
    '48 b8 00 00 00 00 00 80 00 00 8b 00 ; movabs $1<<47,%rax; mov (%rax),%eax',
    0n,
    { vector: 13, errorCode: 0, rip: 10n },
  ],
  ['a division by zero', '31 c9 f7 f1 ; xor %ecx,%ecx; div %ecx', 0n, { vector: 0, rip: 2n }],
]

for (const [about, listing, entry, { rip, ...exception }] of ends) {
  kvmTest(`a replay gives exception and place: ${about}`, (t) => {
    using vm = machine(listing, [], { faults: 'off' })
    const [pml4, pdpt, pd, pt] = [0x1_0000, 0x1_1000, 0x1_2000, 0x1_3000]
    for (const [gpa, next] of [
      [pml4, pdpt],
      [pdpt, pd],
      [pd, pt],
    ] as const)
      vm.memory.writeUint64(gpa, BigInt(next) | 3n)
    for (let page = 0; page < 512; page++)
      vm.memory.writeUint64(pt + 8 * page, BigInt(page * 4096) | 3n)
    vm.memory.writeUint64(pt + 16, entry)
    const { efer } = vm.specialRegisters()
    vm.setSpecialRegisters({ cr3: BigInt(pml4), efer: efer | 0x800n })
    using base = vm.snapshot()
    t.is(vm.runSync().reason, 'shutdown')
    const { vector, errorCode, address, registers } = replayed(base)
    t.deepEqual(
      { vector, errorCode, address, rip: registers?.rip },
      { errorCode: undefined, address: undefined, ...exception, rip },
    )
  })
}
