// Machine code of a guest as text, in the mode of its vCPU, with the names of its image.
import test from 'ava'

import { VirtualMachine, VmError } from '../src/index.ts'
import { elfWithSymbols } from './helpers/elf-symbols.ts'
import { entry } from './helpers/elf.ts'

const at = BigInt(entry)
// main: lea rdi, [rip+7]; call helper; hlt; helper: jmp main; text: 'A'
const program = Uint8Array.of(
  ...[0x48, 0x8d, 0x3d, 0x08, 0, 0, 0],
  ...[0xe8, 0x01, 0, 0, 0],
  0xf4,
  ...[0xeb, 0xf1],
  0x41,
)
const named = () =>
  elfWithSymbols(64, program, [
    { name: 'main', at: 0, bytes: 13 },
    { name: 'helper', at: 13, binding: 0 },
    { name: 'text', at: 15, bytes: 1, type: 1 },
  ])

test('instructions are read in the mode of the vCPU', (t) => {
  const image = Uint8Array.of(0x48, 0x8b, 0x47, 0x08, 0xc3)
  const expected = {
    real: ['dec ax', 'mov ax, [bx+0x8]', 'ret'],
    protected: ['dec eax', 'mov eax, [edi+0x8]', 'ret'],
    long: ['mov rax, [rdi+0x8]', 'ret'],
  } as const
  for (const [mode, texts] of Object.entries(expected)) {
    using vm = new VirtualMachine({
      mode: mode as keyof typeof expected,
      payload: { image, loadGpa: 0x1000 },
    })
    const code = vm.disassemble(0x1000n, texts.length)
    t.deepEqual(
      code.map(({ text }) => text),
      [...texts],
    )
    const bytes = code.flatMap((instruction) => [...instruction.bytes])
    t.deepEqual(bytes, [...image])
    t.is(code[1]!.address, 0x1000n + BigInt(code[0]!.bytes.length))
    t.false('symbol' in code[0]!)
  }
})

test('a segment with a base: addresses are linear, targets are offsets in it', (t) => {
  const image = Uint8Array.of(0xeb, 0xfe)
  using vm = new VirtualMachine({ mode: 'real', payload: { image, loadGpa: 0x7c00 } })
  vm.setSpecialRegisters({ cs: { base: 0x7000n, selector: 0x700 } })
  const [first] = vm.disassemble(0x7c00n, 1)
  t.is(first!.address, 0x7c00n)
  t.is(first!.text, 'jmp 0xc00')
})

test('names of an ELF image', (t) => {
  // As files are read: a Buffer in a pool.
  using vm = new VirtualMachine({ payload: { image: Buffer.from(named()) } })
  const code = vm.disassemble('main', 4)
  t.deepEqual(
    code.map(({ address, symbol, text }) => [address - at, symbol, text]),
    [
      [0n, 'main', 'lea rdi, [rip+0x8]  # 0x10000f <text>'],
      [7n, 'main+0x7', 'call 0x10000d <helper>'],
      [12n, 'main+0xc', 'hlt'],
      [13n, 'helper', 'jmp 0x100000 <main>'],
    ],
  )
  t.is(vm.disassemble('helper', 1)[0]!.address, at + 13n)
  t.is(vm.disassemble('main+0xc', 1)[0]!.text, 'hlt')
  t.is(vm.disassemble('main+12', 1)[0]!.text, 'hlt')
  using fork = vm.fork()
  t.is(fork.disassemble('main+0xc', 1)[0]!.symbol, 'main+0xc')
})

test('code is read through the page tables of the vCPU, and ends where they do', (t) => {
  // Linear 2 MiB is mapped to 0 by the second entry of a page directory that the guest could have.
  const image = Uint8Array.of(0xb8, 0x2a, 0, 0, 0, 0xf4)
  using vm = new VirtualMachine({ mode: 'long', payload: { image } })
  vm.memory.writeUint64(0x10000, 0x11003n)
  vm.memory.writeUint64(0x11000, 0x12003n)
  vm.memory.writeUint64(0x12008, 0x13003n)
  vm.memory.writeUint64(0x13000 + 8 * 511, 0x3n)
  vm.setSpecialRegisters({ cr3: 0x10000n })
  const last = 0x40_0000n - 4096n
  t.deepEqual(
    vm.disassemble(last, 2).map(({ address, text }) => [address - last, text]),
    [
      [0n, 'mov eax, 0x2a'],
      [5n, 'hlt'],
    ],
  )
  // A call that is cut off by the end of the page.
  vm.memory.writeUint8(4095, 0xe8)
  t.deepEqual(
    vm.disassemble(0x40_0000n - 1n).map(({ text }) => text),
    ['(bad)'],
  )
  const error = t.throws(() => vm.disassemble(0n), { instanceOf: VmError })
  t.is(error.code, 'ERR_GUEST_MEMORY')
})

test('addresses wrap, and 65536 instructions are the most', (t) => {
  using vm = new VirtualMachine({ mode: 'long', payload: { image: Uint8Array.of(0xf4) } })
  const code = vm.disassemble(0x1000n, 65536)
  t.is(code.length, 65536)
  t.is(code.at(-1)!.address, 0x1000n + 2n * 65535n)
  t.is(
    t.throws(() => vm.disassemble(2n ** 64n - 1n), { instanceOf: VmError }).code,
    'ERR_GUEST_MEMORY',
  )
})

test('what is no address, count or vCPU is refused', async (t) => {
  const vm = new VirtualMachine({ mode: 'long', payload: { image: Uint8Array.of(0xeb, 0xfe) } })
  const refused = (call: () => unknown, message: RegExp) => {
    const error = t.throws(call, { instanceOf: VmError, message })
    t.is(error.code, 'ERR_INVALID_OPTION')
  }
  for (const address of [0, -1n, 1n << 64n, null, undefined, {}])
    refused(() => vm.disassemble(address as bigint), /^address must be a bigint/)
  refused(() => vm.disassemble('main'), /^address must be a bigint, got "main"; .*no symbols$/)
  for (const count of [0, 65537, 1.5, '8', null])
    refused(() => vm.disassemble(0n, count as number), /^count must be a whole number from 1/)
  refused(() => vm.disassemble(0n, 1, { vcpu: 1 }), /^vcpu must be/)
  refused(() => vm.disassemble(0n, 1, { cpu: 0 } as object), /^options must be made of vcpu/)
  refused(() => vm.disassemble(0n, 1, 5 as unknown as object), /^options must be an object/)
  const run = vm.run()
  t.is(t.throws(() => vm.disassemble(0n), { instanceOf: VmError }).code, 'ERR_VM_BUSY')
  vm.stop()
  await run
  t.is(vm.disassemble(0n, 1)[0]!.text, 'jmp 0x0')
  vm.close()
  t.is(t.throws(() => vm.disassemble(0n), { instanceOf: VmError }).code, 'ERR_VM_CLOSED')
})

test('virtual memory knows the same names', (t) => {
  using vm = new VirtualMachine({ payload: { image: named() } })
  t.deepEqual([...vm.virtual().read('text', 1)], [0x41])
  t.is(vm.virtual().translate('main+1').symbol, 'main+0x1')
  vm.virtual().write('text', Uint8Array.of(7))
  t.is(vm.memory.readUint8(entry + 15), 7)
})
