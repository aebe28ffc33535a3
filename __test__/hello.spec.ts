// The walk-through's guest in every mode and ring, and images of one's own.
import { type CpuMode, type Privilege, guests } from '../src/index.ts'
import { kvmTest, kvmTestBoth, runKinds, skipsMode } from './helpers/kvm.ts'
import { code, machine } from './helpers/machine.ts'

/** Mode, ring, and the bytes of the word that the guest stores at 0x400. */
const variants: [CpuMode, Privilege, wordBytes: number][] = [
  ['real', 'kernel', 4],
  ['protected', 'kernel', 4],
  ['paged32', 'kernel', 4],
  ['long', 'kernel', 8],
  ['long', 'user', 8],
]

for (const [mode, privilege, wordBytes] of variants) {
  kvmTestBoth(`hello in mode '${mode}', privilege '${privilege}'`, async (t, run) => {
    if (skipsMode(t, mode, privilege)) return
    using vm = machine(
      guests.hello,
      [
        { port: 0xe9, to: 'console' },
        { port: 0xf4, to: 'stop' },
      ],
      { mode, privilege },
    )
    const before = Uint8Array.from([9, 9, 9, 9, 9, 9, 9, 9, 9])
    vm.memory.write(0x400, before)

    const result = await run(vm)

    t.deepEqual(result.output, new Uint8Array(Buffer.from('Hello, world!\n')))
    t.is(result.outputText, 'Hello, world!\n')
    t.is(result.outputDroppedBytes, 0)
    // 14 bytes of text, and the exit that ends the run.
    t.is(result.exits, 15)
    t.is(vm.registers().rax, 42n)
    const after = before.with(0, 42).fill(0, 1, wordBytes)
    t.deepEqual(vm.memory.read(0x400, 9), after)

    if (privilege === 'user') {
      t.is(result.reason, 'exit-port')
      t.is(result.exitCode, 42)
      const data = Uint8Array.of(42)
      t.deepEqual(result.exit, {
        reason: 'pio-out',
        port: 0xf4,
        size: 1,
        count: 1,
        value: 42,
        data,
      })
    } else {
      t.is(result.reason, 'hlt')
      t.is(result.exitCode, undefined)
      t.deepEqual(result.exit, { reason: 'hlt' })
    }
    const outs = privilege === 'user' ? 15 : 14
    t.like(vm.counters().exits, {
      'pio-out': outs,
      hlt: 15 - outs,
      shutdown: 0,
      'internal-error': 0,
    })
    const stops = privilege === 'user' ? 1 : 0
    t.deepEqual(vm.counters().routes, [
      { reads: 0, writes: 14 },
      { reads: 0, writes: stops },
    ])
  })
}

for (const [mode, privilege] of variants) {
  kvmTest(`an image in '${mode}', '${privilege}', at its own address and entry`, async (t) => {
    if (skipsMode(t, mode, privilege)) return
    // The same bytes in every mode; entered at the first, the run would end with code 1.
    const listing = `
      b0 01 ; mov $1,%al
      e6 f4 ; out %al,$0xf4
      b0 07 ; mov $7,%al
      e6 f4 ; out %al,$0xf4
    `
    const payload = { image: code(listing), loadGpa: 0x8000, entryGpa: 0x8004 }
    using vm = machine('', [{ port: 0xf4, to: 'stop' }], { mode, privilege, payload })
    t.is((await runKinds.runSync(vm)).exitCode, 7)
    t.is(vm.registers().rip, 0x8008n)
    t.deepEqual(vm.memory.read(0x7fff, 10), Uint8Array.of(0, ...payload.image, 0))
  })
}

kvmTest('an image is copied: changing it later changes nothing', async (t) => {
  const image = code('b0 05 e6 f4 ; mov $5,%al; out %al,$0xf4')
  using vm = machine('', [{ port: 0xf4, to: 'stop' }], { payload: { image } })
  image.fill(0xf4)
  t.is((await runKinds.run(vm)).exitCode, 5)
})
