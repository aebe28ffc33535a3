// Machine code of a guest as text, in the mode of its vCPU, with the names of its image.
import test from 'ava'

import { VirtualMachine } from '../src/index.ts'
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
