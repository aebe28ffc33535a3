// The last instruction of a guest that shuts down, found again from a snapshot.
import { replayScene } from '../src/debug/replay.ts'
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
