// Images of other formats than flat: what is put where, and what the first instruction finds.
import { VirtualMachine, type VirtualMachineOptions } from '../src/index.ts'
import { elf, entry } from './helpers/elf.ts'
import { kvmTest } from './helpers/kvm.ts'
import { code, machine, vmError } from './helpers/machine.ts'

const hlt = code('f4 ; hlt')
const load = (options: VirtualMachineOptions) => new VirtualMachine(options)

for (const [bits, mode] of [
  [32, 'protected'],
  [64, 'long'],
] as const) {
  kvmTest(`ELF${bits} starts in ${mode} mode at its entry, its memory after it`, async (t) => {
    using vm = load({ payload: { image: elf(bits, hlt) } })
    t.like(vm.loaded, { format: 'elf', mode, entryGpa: entry })
    t.true(vm.loaded.parts.every((part) => part.gpa >= entry && part.memoryBytes >= part.bytes))
    t.is((await vm.run({ timeoutMs: 300_000 })).reason, 'hlt')
    t.is(vm.registers().rip, BigInt(entry + 1))
  })
}

kvmTest('the stack begins below what an image has at the end of memory', (t) => {
  // Its memory reaches to the end: bytes and 4096 more.
  const program = new Uint8Array(0xf000)
  program.set(hlt)
  using vm = load({ memoryBytes: entry + 0x1_0000, payload: { image: elf(64, program) } })
  t.is(vm.registers().rsp, BigInt(entry))
  using roomy = load({ memoryBytes: entry + 0x2_0000, payload: { image: elf(64, program) } })
  t.is(roomy.registers().rsp, BigInt(entry + 0x2_0000))
})

kvmTest('ring 3 goes with an image that starts in long mode, whoever says so', (t) => {
  const image = elf(64, code('b0 2a e6 f4 ; mov $42,%al; out %al,$0xf4'))
  using vm = machine('', [{ port: 0xf4, to: 'stop' }], {
    ...{ mode: undefined as never, privilege: 'user', memoryBytes: 4 << 20, payload: { image } },
  })
  t.like(vm.runSync({ timeoutMs: 300_000 }), { reason: 'exit-port', exitCode: 42 })
  t.throws(
    () => load({ privilege: 'user', memoryBytes: 4 << 20, payload: { image: elf(32, hlt) } }),
    vmError('ERR_INVALID_OPTION', /privilege 'user' needs mode 'long', got mode 'protected'/),
  )
})

/** A multiboot header with address fields, then code that stores EAX, EBX and stops. */
function multiboot(): Uint8Array {
  const program = code(`
    a3 00 05 00 00          ; mov %eax,0x500
    89 1d 04 05 00 00       ; mov %ebx,0x504
    f4                      ; hlt
  `)
  const bytes = new Uint8Array(32 + program.length)
  const view = new DataView(bytes.buffer)
  const flags = 0x1_0003
  const fields = [0x1bad_b002, flags, -(0x1bad_b002 + flags) >>> 0, entry, entry, 0, 0, entry + 32]
  for (const [index, field] of fields.entries()) view.setUint32(index * 4, field, true)
  bytes.set(program, 32)
  return bytes
}

kvmTest('multiboot: magic, command line, memory map and modules', async (t) => {
  using vm = load({
    memoryBytes: 4 << 20,
    payload: {
      image: multiboot(),
      cmdline: 'a=1 b',
      modules: [{ image: Uint8Array.of(1, 2, 3), string: 'first' }],
    },
  })
  t.like(vm.loaded, { format: 'multiboot', mode: 'protected', entryGpa: entry + 32 })
  t.is((await vm.run({ timeoutMs: 300_000 })).reason, 'hlt')
  t.is(vm.memory.readUint32(0x500), 0x2bad_b002)
  const info = vm.memory.readUint32(0x504)
  const text = (gpa: number) => Buffer.from(vm.memory.read(gpa, 32)).toString().split('\0')[0]
  t.is(text(vm.memory.readUint32(info + 16)), 'a=1 b')
  t.is(vm.memory.readUint32(info + 20), 1)
  const module = vm.memory.readUint32(info + 24)
  t.deepEqual([...vm.memory.read(vm.memory.readUint32(module), 3)], [1, 2, 3])
  t.is(text(vm.memory.readUint32(module + 8)), 'first')
})

kvmTest('format flat takes any bytes as they stand', (t) => {
  using vm = load({ mode: 'real', payload: { image: elf(64, hlt), format: 'flat' } })
  t.like(vm.loaded, { format: 'flat', mode: 'real', entryGpa: 0 })
  t.is(vm.memory.readUint32(0), 0x464c_457f)
})

kvmTest('what is broken or does not fit is ERR_PAYLOAD with what and where', (t) => {
  const image = elf(64, hlt)
  for (let length = 4; length < image.length; length++) {
    const cut = image.slice(0, length)
    t.throws(
      () => load({ payload: { image: cut, format: 'elf' } }),
      vmError('ERR_PAYLOAD'),
      `${length}`,
    )
  }
  t.throws(
    () => load({ memoryBytes: 1 << 20, payload: { image } }),
    vmError('ERR_PAYLOAD', /0x100000/),
  )
  t.throws(() => load({ payload: { image: hlt, format: 'bzimage' } }), vmError('ERR_PAYLOAD'))
})

kvmTest('255 headers over the same bytes of an image cost what one does', (t) => {
  const [start, size, headers] = [64 + 56 * 256, 16 << 20, 255]
  const image = (type: number) => {
    const bytes = new Uint8Array(size)
    bytes.set(elf(64, hlt).subarray(0, 64))
    const view = new DataView(bytes.buffer)
    view.setUint16(0x38, headers + 1, true)
    for (let index = 0; index <= headers; index++) {
      const at = 64 + 56 * index
      const gpa = entry + index * size
      view.setUint32(at, index === 0 ? 1 : type, true)
      view.setUint32(at + 4, 7, true)
      const length = index === 0 ? hlt.length : size - start
      for (const [i, value] of [start, gpa, gpa, length, length, 8].entries())
        view.setBigUint64(at + 8 + 8 * i, BigInt(value), true)
    }
    bytes.set(hlt, start)
    return bytes
  }
  const begin = performance.now()
  const [load_, note] = [1, 4]
  // Notes that cannot be read make no PVH kernel of an ELF image.
  using vm = load({ memoryBytes: 4 << 20, payload: { image: image(note) } })
  t.is(vm.loaded.format, 'elf')
  t.throws(
    () =>
      load({
        memoryBytes: 3 * 2 ** 30,
        slots: [{ gpa: 2 ** 32, bytes: 2 ** 32 }],
        payload: { image: image(load_) },
      }),
    vmError('ERR_PAYLOAD', /segment overlaps others: .* more than the image's 16777216 bytes/),
  )
  t.true(performance.now() - begin < 10_000)
})

kvmTest('what contradicts the format is an option error', (t) => {
  const image = elf(64, hlt)
  t.throws(
    () => load({ mode: 'real', payload: { image } }),
    vmError('ERR_INVALID_OPTION', /elf .*'long'/),
  )
  t.throws(
    () => load({ payload: { image, loadGpa: 4096 } }),
    vmError('ERR_INVALID_OPTION', /loadGpa/),
  )
  t.throws(
    () => load({ payload: { image, cmdline: 'x' } }),
    vmError('ERR_INVALID_OPTION', /command line/),
  )
  t.throws(
    () => machine('f4 ;', [], { payload: { image: hlt, initrd: hlt } }),
    vmError('ERR_INVALID_OPTION', /initrd/),
  )
})
