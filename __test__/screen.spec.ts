// What a guest shows, seen by the host: text in memory and a VGA adapter's registers, or pixels.
import { VirtualMachine, type VirtualMachineOptions } from '../src/index.ts'
import { kvmTest } from './helpers/kvm.ts'
import { code, vmError } from './helpers/machine.ts'

/** Writes a bright exclamation mark on blue, and waits. */
const mark = `
  b8 00 b8             ; mov $0xb800,%ax
  8e c0                ; mov %ax,%es
  26 c7 06 00 00 21 1f ; movw $0x1f21,%es:0
  f4                   ; hlt
`

function shown(listing: string, options: Partial<VirtualMachineOptions> = {}): VirtualMachine {
  const payload = { image: code(listing), loadGpa: 0x7c00 }
  return new VirtualMachine({
    mode: 'real',
    pc: true,
    memoryBytes: 1 << 20,
    screen: 'text',
    payload,
    ...options,
  })
}

kvmTest("a boot sector's text is seen", async (t) => {
  using vm = shown(mark)
  const { screen } = vm
  t.like(screen, { kind: 'text', width: 640, height: 400 })
  t.deepEqual(screen!.text(), Array<string>(25).fill(' '.repeat(80)))
  const ended = vm.run({ timeoutMs: 60_000 })
  t.is(await screen!.waitFor('!'), null)
  t.is((await screen!.waitFor(/!+/))?.[0], '!')
  t.is(screen!.text()[0], `!${' '.repeat(79)}`)
  vm.stop()
  await ended
})

kvmTest('a closed machine shows nothing any more', async (t) => {
  using vm = shown(mark)
  const screen = vm.screen!
  const waits = t.throwsAsync(screen.waitFor('never'), vmError('ERR_VM_CLOSED'))
  vm.close()
  await waits
  for (const look of [() => screen.text(), () => screen.pixels(), () => screen.png()])
    t.throws(look, vmError('ERR_VM_CLOSED'))
  await t.throwsAsync(screen.waitFor('!'), vmError('ERR_VM_CLOSED'))
})
