// vmexit disassemble: images as text, without a machine.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import test from 'ava'

import { main, vmexit, vmexitJson as json } from './helpers/cli.ts'
import { elfWithSymbols } from './helpers/elf-symbols.ts'
import { elf, entry } from './helpers/elf.ts'

const folder = mkdtempSync(join(tmpdir(), 'vmexit-disassemble-'))
test.after.always(() => rmSync(folder, { recursive: true }))

function file(name: string, bytes: Uint8Array): string {
  const path = join(folder, name)
  writeFileSync(path, bytes)
  return path
}

// call helper; hlt; helper: ret
const program = Uint8Array.of(0xe8, 0x01, 0, 0, 0, 0xf4, 0xc3)
const names = [
  { name: 'main', at: 0, bytes: 6 },
  { name: 'helper', at: 6, bytes: 1 },
]
const named = file('named.elf', elfWithSymbols(64, program, names))
const flat = file('flat.bin', Uint8Array.of(0x48, 0x8b, 0x47, 0x08, 0xc3))

test('an ELF image: its code, by the names of its symbols', async (t) => {
  const { code, stdout, stderr } = await vmexit(['disassemble', named])
  t.deepEqual([code, stderr], [0, ''])
  t.is(
    stdout.toString(),
    `${named}: elf, mode long

section .text

main:
    100000:  e8 01 00 00 00                 call 0x100006 <helper>
    100005:  f4                             hlt

helper:
    100006:  c3                             ret
`,
  )
})

test('--json: addresses are decimal strings, bytes hexadecimal ones', async (t) => {
  t.deepEqual(await json(['disassemble', named]), [
    0,
    {
      file: named,
      format: 'elf',
      mode: 'long',
      instructions: [
        {
          address: String(entry),
          bytes: 'e801000000',
          text: 'call 0x100006 <helper>',
          symbol: 'main',
        },
        { address: String(entry + 5), bytes: 'f4', text: 'hlt', symbol: 'main+0x5' },
        { address: String(entry + 6), bytes: 'c3', text: 'ret', symbol: 'helper' },
      ],
    },
  ])
})

const texts = async (args: string[], input?: Uint8Array): Promise<string[]> => {
  const [code, { instructions }] = await json(['disassemble', ...args], input)
  if (code !== 0) throw new Error(`exit code ${code}`)
  return instructions.map(({ address, text }: any) => `${address} ${text}`)
}

test('--at and --count', async (t) => {
  t.deepEqual(await texts([named, '--at', 'helper']), [`${entry + 6} ret`])
  t.deepEqual(await texts([named, '--at', 'main+5', '--count', '1']), [`${entry + 5} hlt`])
  t.deepEqual(await texts([named, '--at', '0x100006']), [`${entry + 6} ret`])
  t.deepEqual(await texts([named, '--count', '1']), [`${entry} call 0x100006 <helper>`])
})

test('a flat image in each mode, from stdin too', async (t) => {
  const expected = {
    real: ['31744 dec ax', '31745 mov ax, [bx+0x8]', '31748 ret'],
    protected: ['31744 dec eax', '31745 mov eax, [edi+0x8]', '31748 ret'],
    paged32: ['31744 dec eax', '31745 mov eax, [edi+0x8]', '31748 ret'],
    long: ['31744 mov rax, [rdi+0x8]', '31748 ret'],
  }
  for (const [mode, lines] of Object.entries(expected))
    t.deepEqual(await texts([flat, '--mode', mode, '--load', '0x7c00']), lines, mode)
  t.deepEqual(await texts(['-', '--mode', 'long'], Uint8Array.of(0xf4)), ['0 hlt'])
  t.deepEqual(await texts([flat, '--mode', 'long', '--load', '0x7c00', '--at', '0x7c04']), [
    '31748 ret',
  ])
})

test('real mode above 64 KiB: targets are offsets in the segment of the address', async (t) => {
  const jump = file('jump.bin', Uint8Array.of(0xeb, 0xfe))
  const lines = await texts([jump, '--mode', 'real', '--load', '0xf1000'])
  t.deepEqual(lines, [`${0xf1000} jmp 0x1000`])
})

test('an ELF image without sections: its executable segment', async (t) => {
  const bare = file('bare.elf', elf(32, Uint8Array.of(0xf4)))
  const { stdout } = await vmexit(['disassemble', bare, '--count', '1'])
  t.is(stdout.toString(), `${bare}: elf, mode protected\n\n    100000:  f4${' '.repeat(29)}hlt\n`)
})

test('it opens no /dev/kvm', async (t) => {
  // At its end, a process says what it has open.
  const tell =
    "import fs from 'node:fs';process.on('exit',()=>{for(const fd of fs.readdirSync('/proc/self/fd'))" +
    "try{console.error(fs.readlinkSync('/proc/self/fd/'+fd))}catch{}})"
  const env = { NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(tell)}` }
  const shown = await vmexit(['disassemble', named], { env })
  t.is(shown.code, 0)
  t.regex(shown.stderr, /pipe|socket/)
  t.notRegex(shown.stderr, /kvm/)
})

test('what cannot be shown is a usage error', async (t) => {
  const object = elfWithSymbols(64, program, names)
  object[0x10] = 1
  const cases: [string[], RegExp][] = [
    [[], /disassemble needs a file/],
    [[named, flat], /takes one file/],
    [[flat], /is no ELF image; a flat one needs --mode/],
    [
      [flat, '--mode', 'long', '--at', 'main'],
      /--at must be an address, as the file has no symbols/,
    ],
    [[flat, '--mode', 'long', '--at', '5'], /the file has nothing at 0x5/],
    [[flat, '--mode', 'short'], /--mode must be one of/],
    [[flat, '--mode', 'long', '--count', '0'], /--count must be at least 1/],
    [[named, '--load', '0'], /--load is for flat images/],
    [[named, '--at', 'mian'], /there is no symbol "mian"; did you mean main\?/],
    [[named, '--at', '0xfffffffffffffffff'], /there is no symbol/],
    [[file('object.o', object)], /is an object file/],
    [[file('empty', new Uint8Array()), '--mode', 'long'], /is empty/],
    [[join(folder, 'absent')], /cannot read the image/],
  ]
  for (const [args, message] of cases) {
    const { code, stdout, stderr } = await vmexit(['disassemble', ...args])
    t.deepEqual([code, stdout.toString()], [2, ''], args.join(' '))
    t.regex(stderr, message)
  }
})

test('sections that overlap are no work without end', async (t) => {
  const image = elfWithSymbols(64, new Uint8Array(4096).fill(0x90), [])
  const view = new DataView(image.buffer)
  const sections = Number(view.getBigUint64(0x28, true))
  // All sections are code now, and as large as the file.
  for (let index = 1; index < 5; index++) {
    view.setUint32(sections + 64 * index + 4, 1, true)
    view.setBigUint64(sections + 64 * index + 8, 6n, true)
    view.setBigUint64(sections + 64 * index + 0x18, 0n, true)
    view.setBigUint64(sections + 64 * index + 0x20, BigInt(image.length), true)
  }
  const [code, { instructions }] = await json(['disassemble', file('overlap.elf', image)])
  t.is(code, 0)
  t.true(instructions.length <= image.length)
})

test('a reader that goes away is no error', async (t) => {
  const large = file('large.bin', new Uint8Array(1 << 20).fill(0x90))
  const child = spawn(process.execPath, [main, 'disassemble', large, '--mode', 'long'])
  child.stdout.once('data', () => child.stdout.destroy())
  const [code] = await once(child, 'close')
  t.is(code, 0)
})
