// Texts in assembly language: their bytes in three widths, their errors, and what is left of them.
import { execFileSync, spawn } from 'node:child_process'
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import process from 'node:process'

import test, { type ExecutionContext } from 'ava'

import { type AssembleOptions, VirtualMachine, assemble, assembleSync } from '../src/index.ts'
import { findProgram } from '../src/native/programs.ts'
import { noBinutils } from './fixtures/binutils.ts'
import { until } from './fixtures/until.ts'
import { kvmTest } from './helpers/kvm.ts'
import { vmError } from './helpers/machine.ts'

const folder = mkdtempSync(join(tmpdir(), 'vmexit-assembler-'))
const temporary = join(folder, 'tmp')
mkdirSync(temporary)
process.env['TMPDIR'] = temporary
test.after.always(() => rmSync(folder, { recursive: true }))

type Body = (t: ExecutionContext) => void | Promise<void>

const asTest = (title: string, body: Body, declare: (title: string, body: Body) => void = test) =>
  noBinutils === undefined
    ? declare(title, body)
    : test.skip(`${title}: ${noBinutils}`, body as Body)

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')

/** The same without the spaces between instructions. */
const plain = (digits: string): string => digits.replaceAll(' ', '')

/** By both ways, which must not differ. */
async function both(text: string, options: AssembleOptions): Promise<string> {
  const bytes = await assemble(text, options)
  const same = assembleSync(text, options)
  if (hex(bytes) !== hex(same)) throw new Error(`${hex(bytes)} and ${hex(same)}`)
  return hex(bytes)
}

async function bothFail(
  t: ExecutionContext,
  args: [text: unknown, options: unknown],
  expected: ReturnType<typeof vmError>,
): Promise<void> {
  const [text, options] = args as Parameters<typeof assemble>
  await t.throwsAsync(assemble(text, options), expected)
  t.throws(() => assembleSync(text, options), expected)
}

// Bytes by the Intel SDM, vol. 2.
asTest('the same words are other bytes in each width', async (t) => {
  const text = 'mov eax, 1\ninc ax\npush cs'
  t.is(await both(text, { bits: 16 }), plain('66b801000000 40 0e'))
  t.is(await both(text, { bits: 32 }), plain('b801000000 6640 0e'))
  t.is(await both('mov eax, 1\ninc ax\nmov rax, [rdi+8]', { bits: 64 }), 'b80100000066ffc0488b4708')
})

asTest('origin counts for labels, and not for what is relative', async (t) => {
  const text = 'start: jmp start\n mov ax, offset end\n.word end\n end:'
  t.is(await both(text, { bits: 16, origin: 0x7c00 }), plain('ebfe b8077c 077c'))
  t.is(await both(text, { bits: 16 }), plain('ebfe b80700 0700'))
  const wide = 'mov eax, [x]\n x: .long x'
  t.is(await both(wide, { bits: 32, origin: 0xfffff000 }), plain('a105f0ffff 05f0ffff'))
  const high = 'lea rax, [rip + x]\n x: .quad x'
  const origin = 0xffffffff80000000n
  t.is(await both(high, { bits: 64, origin }), plain('488d0500000000 07000080ffffffff'))
})

asTest('a boot sector: data, text, .org and a signature', async (t) => {
  const text = `
    .equ port, 0xe9
    mov si, offset text     # a comment
    lodsb
    out port, al
    text: .asciz "Hi"
    .org 510
    .word 0xaa55
  `
  const bytes = await assemble(text, { bits: 16, origin: 0x7c00 })
  t.is(bytes.length, 512)
  t.is(hex(bytes.subarray(0, 10)), plain('be067c ac e6e9 486900 00'))
  t.is(hex(bytes.subarray(510)), '55aa')
  t.is(bytes.constructor, Uint8Array)
})

asTest('one text changes from 16 bits to 32 and to 64', async (t) => {
  const text = `
    jmp 8:wide
    .code32
    wide: mov eax, 1
    jmp 16:long
    .code64
    long: mov rax, [rdi]
  `
  const expected = plain('ea057c0800 b801000000 ea117c00001000 488b07')
  t.is(await both(text, { bits: 16, origin: 0x7c00 }), expected)
})

asTest('the syntax of AT&T, if the text asks for it', async (t) => {
  t.is(await both('.att_syntax prefix\nmov $1, %eax\n', { bits: 32 }), 'b801000000')
})

asTest('sections follow one another, text first; .bss is zeros', async (t) => {
  const text = `
    .bss
    b: .skip 2
    .data
    d: .byte 0xdd
    .section .rodata
    .byte 0xcc
    .section other, "a"
    .byte 0xee
    .text
    .byte 0xaa
    .byte b, d
  `
  t.is(await both(text, { bits: 32, origin: 0x10 }), plain('aa 1514 cc dd 0000 ee'))
  t.is(await both('.bss\n.skip 3', { bits: 64 }), '000000')
  t.is(await both('.data\n.byte 5', { bits: 64, origin: 0x1001 }), '05')
})

asTest('sections are aligned from the origin on', async (t) => {
  const text = 'nop\n.data\n.align 8\n.byte 1'
  t.is(await both(text, { bits: 64, origin: 0x1004 }), plain('90000000 01'))
  const message = /origin 0x1004 must be a multiple of the largest \.align in \.text$/
  const wrong = vmError('ERR_INVALID_OPTION', message)
  await bothFail(t, ['nop\n.align 8', { bits: 64, origin: 0x1004 }], wrong)
})

asTest('nothing is nothing', async (t) => {
  t.is(await both('', { bits: 16 }), '')
  t.is(await both('# only a comment', { bits: 64, origin: 4096 }), '')
})

asTest('objdump reads what was written', async (t) => {
  const machines = { 16: 'i8086', 32: 'i386', 64: 'i386:x86-64' } as const
  const texts = {
    16: ['mov ax,0x1234', 'add ecx,DWORD PTR [bp+0x4]', 'ret'],
    32: ['mov eax,cr0', 'imul esi,DWORD PTR [ebx+ecx*4],0x64', 'iret'],
    64: ['mov r15,QWORD PTR gs:[rax+0x8]', 'vaddps ymm1,ymm2,ymm3', 'syscall'],
  }
  for (const bits of [16, 32, 64] as const) {
    const file = join(folder, `objdump-${bits}`)
    const lines = texts[bits]
    writeFileSync(file, await assemble(lines.join('\n'), { bits }))
    const args = ['-D', '-b', 'binary', '-m', machines[bits], '-M', 'intel', file]
    const said = execFileSync('objdump', args, { encoding: 'utf8' })
    const found = [...said.matchAll(/^ *[\da-f]+:\t[\da-f ]+\t(\S+)(?: +(\S.*))?$/gm)]
    const words = found.map(([, name, operands]) => [name, operands?.trim()].join(' ').trim())
    t.deepEqual(words, lines)
  }
})

asTest('errors of as, with the lines of the text', async (t) => {
  const one = vmError(
    'ERR_INVALID_OPTION',
    /^text does not assemble: line 3: no such instruction: `mvo ax,1'$/,
  )
  await bothFail(t, ['\n# comment\nmvo ax, 1\nhlt', { bits: 16 }], one)
  const text = '.macro m\n frob\n.endm\nhlt\n.byte 0x1ff\nm\nmov eax, [ax+bx+cx]'
  const several = vmError('ERR_INVALID_OPTION')
  const { message } = t.throws(() => assembleSync(text, { bits: 32 }), several)
  t.deepEqual(message.split('\n'), [
    'text does not assemble:',
    '  line 5: value 0x1ff truncated to 0xff',
    "  line 2: no such instruction: `frob'",
    '  line 6: macro invoked from here',
    "  line 7: `[ax+bx+cx]' is not a valid base/index expression",
  ])
})

asTest('errors of ld, with the lines of the text', async (t) => {
  const undefinedLabel = vmError(
    'ERR_INVALID_OPTION',
    /^text does not assemble: line 2: undefined reference to `nowhere'$/,
  )
  await bothFail(t, ['x: nop\ncall nowhere', { bits: 32 }], undefinedLabel)
  const outside = vmError(
    'ERR_INVALID_OPTION',
    /: line 1: relocation truncated to fit: R_X86_64_16 /,
  )
  await bothFail(t, ['mov ax, offset x\nx: nop', { bits: 16, origin: 0x7c000 }], outside)
})

asTest('of many errors the first are shown', (t) => {
  const text = 'frob\n'.repeat(100_000)
  const { message } = t.throws(
    () => assembleSync(text, { bits: 32 }),
    vmError('ERR_INVALID_OPTION'),
  )
  const lines = message.split('\n')
  t.is(lines.length, 22)
  t.is(lines[1], "  line 1: no such instruction: `frob'")
  t.regex(lines[21]!, /^ {2}and \d+ more$/)
})

test('what is no text, no width, no address', async (t) => {
  const rows: [text: unknown, options: unknown, message: RegExp][] = [
    [5, { bits: 16 }, /^text must be a string, got 5$/],
    ['nop\0', { bits: 16 }, /^text must be a text without NUL, got/],
    ['', undefined, /^options must be an object, got undefined$/],
    ['', {}, /^bits must be 16, 32 or 64, got undefined$/],
    ['', { bits: '16' }, /^bits must be 16, 32 or 64, got "16"$/],
    ['', { bits: 16, orign: 1 }, /^options must be made of bits, origin, got "unknown 'orign'"$/],
    ['', { bits: 16, origin: -1 }, /^origin must be a whole number or bigint from 0 to/],
    ['', { bits: 16, origin: 1.5 }, /^origin must be a whole number or bigint from 0 to/],
    ['', { bits: 16, origin: 1n << 64n }, /^origin must be a whole number or bigint from 0 to/],
  ]
  for (const [text, options, message] of rows)
    await bothFail(t, [text, options], vmError('ERR_INVALID_OPTION', message))
  const limit = vmError('ERR_LIMIT', /^text: at most 16777216 characters, got 16777217$/)
  await bothFail(t, ['#'.repeat(2 ** 24 + 1), { bits: 16 }], limit)
})

asTest('many at once, each its own', async (t) => {
  const texts = Array.from({ length: 24 }, (_, index) => `mov eax, ${index}`)
  const all = await Promise.all(texts.map((text) => assemble(text, { bits: 32 })))
  t.deepEqual(
    all.map(hex),
    texts.map((_, index) => `b8${hex(Uint8Array.of(index))}000000`),
  )
})

asTest('too many bytes are an error, and fill no disk', async (t) => {
  const limit = vmError('ERR_LIMIT', /^text: at most 16777216 bytes come of it, got more$/)
  await bothFail(t, ['.skip 0x1000001', { bits: 32 }], limit)
  await bothFail(t, ['.bss\n.skip 0x1000001', { bits: 32 }], limit)
  t.is((await assemble('.skip 0x1000000', { bits: 32 })).length, 2 ** 24)
  if (findProgram('prlimit') === undefined) t.log('no prlimit: a huge text is not tried')
  else await bothFail(t, ['nop\n.org 0xfffffff0\nnop', { bits: 32 }], limit)
})

/** With other programs on PATH while `use` runs. */
async function withPath<T>(path: string, use: () => Promise<T>): Promise<T> {
  const { PATH } = process.env
  process.env['PATH'] = path
  try {
    return await use()
  } finally {
    process.env['PATH'] = PATH
  }
}

/** A folder with programs: scripts of these texts, or links to the host's. */
function programs(scripts: Record<string, string | undefined>): string {
  const own = mkdtempSync(join(folder, 'bin-'))
  for (const [name, script] of Object.entries(scripts)) {
    const path = join(own, name)
    if (script === undefined) symlinkSync(findProgram(name)!, path)
    else writeFileSync(path, `#!/bin/sh\n${script}\n`)
    if (script !== undefined) chmodSync(path, 0o755)
  }
  return own
}

asTest(
  'a missing program, with what to install',
  async (t) => {
    const expected = (name: string): ReturnType<typeof vmError> =>
      vmError(
        'ERR_INVALID_OPTION',
        new RegExp(
          `^assemble needs the program ${name}, which is not on PATH; apt install binutils`,
        ),
      )
    const only = programs({ as: undefined })
    await withPath('/nowhere', () => bothFail(t, ['nop', { bits: 16 }], expected('as')))
    await withPath(only, () => bothFail(t, ['nop', { bits: 16 }], expected('ld')))
  },
  test.serial,
)

asTest(
  'without prlimit the same comes of it',
  async (t) => {
    const own = programs({ as: undefined, ld: undefined })
    await withPath(own, async () => t.is(await both('x: jmp x', { bits: 16 }), 'ebfe'))
    const limit = vmError('ERR_LIMIT', /^text: at most/)
    await withPath(own, () => bothFail(t, ['.skip 0x1000001', { bits: 16 }], limit))
  },
  test.serial,
)

asTest(
  'programs that end otherwise',
  async (t) => {
    const failing = (script: string, message: RegExp): Promise<void> =>
      withPath(programs({ as: script, ld: undefined }), () =>
        bothFail(
          t,
          ['nop\n'.repeat(100_000), { bits: 16 }],
          vmError('ERR_INVALID_OPTION', message),
        ),
      )
    await failing('exit 3', /^text does not assemble: it ended with 3$/)
    await failing('kill -9 $$', /^text does not assemble: it ended with SIGKILL$/)
    await failing('echo strange >&2; exit 1', /^text does not assemble: strange$/)
  },
  test.serial,
)

asTest(
  'a host that lacks something',
  async (t) => {
    const noFolder = vmError('ERR_KVM_IOCTL', /^no temporary files in \/nowhere: ENOENT/)
    process.env['TMPDIR'] = '/nowhere'
    await bothFail(t, ['nop', { bits: 16 }], noFolder)
    process.env['TMPDIR'] = temporary
    const own = programs({ as: '', ld: undefined })
    writeFileSync(join(own, 'as'), '#!/no/interpreter\n')
    const notStarted = vmError('ERR_KVM_IOCTL', /^the program as does not start: .*ENOENT/)
    await withPath(own, () => bothFail(t, ['nop', { bits: 16 }], notStarted))
  },
  test.serial,
)

asTest(
  'a program that does not end is ended',
  async (t) => {
    const own = programs({ as: 'exec /bin/cat - /dev/zero > /dev/null', ld: undefined })
    const late = vmError('ERR_TIMEOUT', /^text: as has not ended after 10 s$/)
    await withPath(own, () => t.throwsAsync(assemble('nop', { bits: 16 }), late))
  },
  test.serial,
)

asTest(
  'a program that has left another one running is not waited for',
  async (t) => {
    const own = programs({
      as: '/bin/sleep 60 & echo $! > "$0.pid"; exec /bin/sleep 60',
      ld: undefined,
    })
    const late = vmError('ERR_TIMEOUT', /^text: as has not ended after 10 s$/)
    await withPath(own, () => t.throwsAsync(assemble('nop', { bits: 16 }), late))
    // It holds the pipe for messages, and runs on.
    t.notThrows(() => process.kill(Number(readFileSync(join(own, 'as.pid'), 'utf8')), 'SIGKILL'))
  },
  test.serial,
)

asTest('nothing is left, whatever comes of a text', async (t) => {
  await assemble('nop', { bits: 16 })
  await t.throwsAsync(assemble('frob', { bits: 16 }))
  t.throws(() => assembleSync('call nowhere', { bits: 64 }))
  t.deepEqual(readdirSync(temporary), [])
})

asTest('nothing is left of a process that is killed meanwhile', async (t) => {
  const own = programs({ as: 'echo $$ > "$0.pid"; exec sleep 60', ld: undefined })
  const script = `
    const { assemble } = await import('./src/index.ts')
    await assemble('nop', { bits: 16 })`
  const child = spawn(
    process.execPath,
    ['--import=@oxc-node/core/register', '--input-type=module', '--eval', script],
    { env: { ...process.env, PATH: `${own}:${process.env['PATH']}` }, stdio: 'ignore' },
  )
  await until(() => readdirSync(own).includes('as.pid'))
  child.kill('SIGKILL')
  await new Promise((resolve) => child.on('close', resolve))
  t.deepEqual(readdirSync(temporary), [])
})

asTest('files of the host can be included, by paths from the working directory', async (t) => {
  const expected = hex(Buffer.from('{'))
  t.is(await both('.incbin "package.json", 0, 1', { bits: 16 }), expected)
})

if (noBinutils === undefined)
  kvmTest('a machine runs it', async (t) => {
    const image = await assemble('mov al, 42\n out 0xf4, al', { bits: 16 })
    const payload = { image }
    const routes = [{ port: 0xf4, to: 'stop' }] as const
    using vm = new VirtualMachine({ mode: 'real', memoryBytes: 65536, payload, routes })
    const { reason, exit } = vm.runSync({ timeoutMs: 300_000 })
    t.is(reason, 'exit-port')
    t.like(exit, { port: 0xf4, value: 42 })
  })
