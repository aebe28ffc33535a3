// The command line as users call it: exit codes, JSON documents, bytes on stdout.
import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import test from 'ava'

import { native } from '../src/native/native.ts'
import { main, vmexit, vmexitJson as json } from './helpers/cli.ts'
import { kvmTest, modeRuns } from './helpers/kvm.ts'

const folder = mkdtempSync(join(tmpdir(), 'vmexit-cli-'))
test.after.always(() => rmSync(folder, { recursive: true }))

function image(name: string, bytes: number[]): string {
  const path = join(folder, name)
  writeFileSync(path, Uint8Array.from(bytes))
  return path
}

const runsPaged32 = (): boolean => modeRuns('paged32').runs

// b0 2a mov al, 42 · e6 e9 out 0xe9, al · b0 07 mov al, 7 · e6 f4 out 0xf4, al: the same in every
// mode
const exit7 = [0xb0, 0x2a, 0xe6, 0xe9, 0xb0, 0x07, 0xe6, 0xf4]
const ports = ['--port', '0xe9=console', '--port', '0xf4=stop']

kvmTest('hello runs every mode that this KVM can run, and hides none', async (t) => {
  const [code, { backend, results }] = await json(['hello'])
  t.is(code, 0)
  t.is(backend, native.hostBackend())
  const names = results.map((result: any) => `${result.mode} ${result.privilege}`)
  t.deepEqual(names, [
    'real kernel',
    'protected kernel',
    'paged32 kernel',
    'long kernel',
    'long user',
  ])
  for (const result of results) {
    if (result.mode === 'paged32' && !runsPaged32()) {
      t.like(result, { supported: false, ok: false, reason: 'shutdown' })
      continue
    }
    const reason = result.privilege === 'user' ? 'exit-port' : 'hlt'
    t.like(result, { supported: true, ok: true, reason, output: 'Hello, world!\n' })
    t.like(result, { rax: '42', memory400: '42', exits: 15 })
    t.is(typeof result.durationMs, 'number')
  }
})

kvmTest('hello takes one mode or one ring', async (t) => {
  const [, { results: long }] = await json(['hello', '--mode', 'long'])
  t.deepEqual(
    long.map((r: any) => [r.mode, r.privilege]),
    [['long', 'kernel']],
  )
  const [, { results: user }] = await json(['hello', '--privilege', 'user'])
  t.deepEqual(
    user.map((r: any) => [r.mode, r.privilege]),
    [['long', 'user']],
  )
  const text = (await vmexit(['hello', '--mode', 'real'])).stdout.toString()
  t.regex(text, /real +kernel +ok +Hello, world! +RAX = 42, \[0x400\] = 42/)
})

for (const mode of ['real', 'protected', 'paged32', 'long', 'long --privilege user']) {
  kvmTest(`run ${mode}: console bytes on stdout, the exit port's code`, async (t) => {
    if (mode === 'paged32' && !runsPaged32()) {
      t.log('skipped: this KVM does not run paged32')
      t.pass()
      return
    }
    const path = image(`exit7-${mode}.bin`, exit7)
    const ran = await vmexit([
      'run',
      path,
      '--mode',
      ...mode.split(' '),
      ...ports,
      '--timeout',
      '300s',
    ])
    t.deepEqual([ran.code, [...ran.stdout], ran.stderr], [7, [42], ''])
  })
}

kvmTest('run: all 256 byte values arrive as they are, also through a pipe', async (t) => {
  //  0  xor al, al; 2: out 0xe9, al; 4: inc al; 6: jnz 2; 8: hlt
  const path = image('bytes.bin', [0x30, 0xc0, 0xe6, 0xe9, 0xfe, 0xc0, 0x75, 0xfa, 0xf4])
  const ran = await vmexit(['run', path, '--mode', 'real', '--port', '0xe9=console'])
  t.is(ran.code, 0)
  t.deepEqual(
    [...ran.stdout],
    Array.from({ length: 256 }, (_, value) => value),
  )
  const [, document] = await json(['run', path, '--mode', 'real', '--port', '0xe9=console'])
  t.deepEqual([...Buffer.from(document.outputBase64, 'base64')], [...ran.stdout])
})

kvmTest('run --json: one document with registers as decimal strings', async (t) => {
  const path = image('json.bin', exit7)
  const [code, document] = await json(['run', path, '--mode', 'long', ...ports])
  t.is(code, 7)
  t.like(document, { reason: 'exit-port', exitCode: 7, output: '*', exits: 2 })
  t.like(document.exit, { reason: 'pio-out', port: 0xf4, size: 1, count: 1, value: 7, data: '07' })
  t.is(document.registers.rax, '7')
  t.is(document.registers.rip, '8')
})

kvmTest('run --load and --entry put image and first instruction elsewhere', async (t) => {
  //  0  hlt; 1: mov al, 9; 3: out 0xf4, al
  const path = image('entry.bin', [0xf4, 0xb0, 0x09, 0xe6, 0xf4])
  const args = ['run', path, '--mode', 'real', '--load', '0x7c00', '--port', '0xf4=stop']
  t.is((await vmexit(args)).code, 0)
  t.is((await vmexit([...args, '--entry', '0x7c01'])).code, 9)
})

kvmTest('run: constants, ranges and discarded ports', async (t) => {
  //  0  in al, 0x60; 2: out 0x71, al; 4: out 0xf4, al
  const path = image('ports.bin', [0xe4, 0x60, 0xe6, 0x71, 0xe6, 0xf4])
  const args = [
    '--port',
    '0x60=constant:0x2b',
    '--port',
    '0x70-0x7f=discard',
    '--port',
    '0xf4=stop',
  ]
  t.is((await vmexit(['run', path, '--mode', 'long', ...args])).code, 0x2b)
})

kvmTest("run: a guest's failure stays one whatever its number", async (t) => {
  // 66 b8 xx xx  mov ax, … · 66 e7 f4  out 0xf4, ax: 16 bits of exit code, in 32-bit code.
  for (const [low, high, code] of [
    [0, 1, 255],
    [2, 1, 2],
    [0, 0, 0],
  ] as const) {
    const path = image(`code-${high}-${low}.bin`, [0x66, 0xb8, low, high, 0x66, 0xe7, 0xf4])
    const port = ['--port', '0xf4-0xf5=stop']
    t.is((await vmexit(['run', path, '--mode', 'protected', ...port])).code, code)
  }
})

kvmTest('run: every other end has its exit code, and says why on stderr', async (t) => {
  const shutdown = image('ud2.bin', [0x0f, 0x0b])
  const ended = await vmexit(['run', shutdown, '--mode', 'long'])
  t.is(ended.code, 3)
  // SVM has reset the vCPU by then.
  const place =
    native.hostBackend() === 'kvm_amd'
      ? 'KVM has reset the vCPU, so nothing tells where it was'
      : `vCPU 0 is at RIP 0x0 (long mode, CS 0x8), instruction bytes 0f0b${'00'.repeat(13)}`
  const [sentence, ...explained] = ended.stderr.split('\n')
  t.is(sentence, `vmexit: the guest shut down (triple fault after #UD); ${place}`)
  t.regex(explained.join('\n'), /^  vector-ud: vector 6, #UD: /m)
  const unclaimed = await vmexit(['run', image('out.bin', [0xe6, 0x10]), '--mode', 'long'])
  t.is(unclaimed.code, 3)
  t.regex(
    unclaimed.stderr,
    /the guest wrote 1 byte \(0x0\) to port 0x10, which no route claims; claim it with --port\n$/,
  )
  const spin = image('spin.bin', [0xeb, 0xfe])
  const late = await vmexit(['run', spin, '--mode', 'long', '--timeout', '100ms'])
  const where = `vCPU 0 is at RIP 0x0 (long mode, CS 0x8), instruction bytes ebfe${'00'.repeat(13)}`
  t.deepEqual([late.code, late.stderr], [124, `vmexit: the time is up; ${where}\n`])
  const [, document] = await json(['run', spin, '--mode', 'real', '--timeout', '0.1s'])
  t.is(document.reason, 'timeout')
  t.like(document.where, { vcpu: 0, rip: '0', cs: 0, mode: 'real' })
  t.is(document.where.bytes.slice(0, 4), 'ebfe')
})

kvmTest('run --registers shows them on stderr, the console stays alone on stdout', async (t) => {
  const path = image('registers.bin', exit7)
  const ran = await vmexit(['run', path, '--mode', 'long', ...ports, '--registers'])
  t.deepEqual([...ran.stdout], [42])
  t.regex(ran.stderr, /^rax +0x0000000000000007/m)
  t.regex(ran.stderr, /rflags +0x0000000000000002/)
})

kvmTest('console text of a spinning guest reaches stdout before the run ends', async (t) => {
  //  0  mov al, 'x'; 2: out 0xe9, al; 4: jmp 4
  const path = image('prompt.bin', [0xb0, 0x78, 0xe6, 0xe9, 0xeb, 0xfe])
  const child = spawn(process.execPath, [
    main,
    'run',
    path,
    '--mode',
    'long',
    '--port',
    '0xe9=console',
  ])
  const [first] = (await new Promise((resolve) =>
    child.stdout.once('data', (...args) => resolve(args)),
  )) as [Buffer]
  t.is(first.toString(), 'x')
  const ended = new Promise((resolve) => child.once('exit', (_, signal) => resolve(signal)))
  child.kill('SIGINT')
  t.is(await ended, 'SIGINT')
})

const wrong: [string[], RegExp][] = [
  [['frobnicate'], /unknown command 'frobnicate'/],
  [['run'], /run needs the path of an image/],
  [['run', '/nonexistent', '--mode', 'long'], /cannot read the image: ENOENT/],
  [
    ['run', '%', '--mode', 'vga'],
    /--mode must be one of real, protected, paged32, long, got 'vga'/,
  ],
  [['run', '%'], /--mode must be given for a flat image/],
  [['run', '%', '%', '--mode', 'long'], /run takes one image/],
  [['run', '%', '--mode', 'long', '--port', 'console'], /--port must be PORT/],
  [['run', '%', '--mode', 'long', '--port', '0xe9=lamp'], /--port must be PORT/],
  [['run', '%', '--mode', 'long', '--port', '0x60=constant'], /--port must be PORT/],
  [
    ['run', '%', '--mode', 'long', '--port', '0x1ffff=stop'],
    /--port 0x1ffff=stop must be a whole number/,
  ],
  [['run', '%', '--mode', 'long', '--timeout', '5'], /--timeout must be a duration/],
  [['run', '%', '--mode', 'long', '--memory', '2Q'], /--memory must be a size/],
  [
    ['run', '%', '--mode', 'long', '--memory', '5000'],
    /--memory must be a positive multiple of 4096/,
  ],
  [['run', '%', '--mode', 'long', '--memory', '64G'], /--memory must be at most/],
  [['run', '%', '--mode', 'long', '--load', '3M'], /--load must be a number/],
  [['run', '%', '--mode', 'long', '--load', '0x300000'], /do not fit into memory/],
  [['run', '%', '--mode', 'real', '--privilege', 'user'], /--privilege 'user' needs --mode 'long'/],
  [['run', '%', '--mode', 'long', '--frob'], /unknown option '--frob'/],
  [['hello', 'there'], /hello takes no argument/],
  [['hello', '--privilege', 'root'], /--privilege must be one of kernel, user/],
  [['doctor', 'who'], /doctor takes no argument/],
]

kvmTest('a wrong command line is exit code 2 and one line on stderr', async (t) => {
  const path = image('any.bin', exit7)
  for (const [args, message] of wrong) {
    const ran = await vmexit(args.map((arg) => (arg === '%' ? path : arg)))
    t.is(ran.code, 2, args.join(' '))
    t.regex(ran.stderr, message)
    t.is(ran.stderr.trimEnd().split('\n').length, 1, ran.stderr)
    t.is(ran.stdout.length, 0)
  }
})

test('help and version', async (t) => {
  for (const args of [[], ['--help'], ['hello', '--help'], ['run', '-h'], ['doctor', '--help']]) {
    const ran = await vmexit(args)
    t.is(ran.code, 0)
    t.regex(ran.stdout.toString(), /^Usage: vmexit/)
  }
  t.regex((await vmexit(['--version'])).stdout.toString(), /^\d+\.\d+\.\d+\n$/)
})

kvmTest('doctor --json says what is there', async (t) => {
  const [code, report] = await json(['doctor'])
  t.is(code, 0)
  t.like(report, { ok: true, kvm: { path: '/dev/kvm', apiVersion: 12 }, node: process.version })
  t.is(report.modes.length, 5)
  for (const { mode, supported, reason } of report.modes) {
    t.is(supported, reason === undefined)
    t.is(supported, mode !== 'paged32' || runsPaged32())
  }
  t.is(report.capabilities.KVM_CAP_IMMEDIATE_EXIT, 1)
  t.true(report.exitCostNs > 100)
  const { sharesCoalescedRing } = report.kvm
  t.is(typeof sharesCoalescedRing, 'boolean')
  const told = report.hints.filter((hint: string) => hint.includes('coalesced writes'))
  t.is(told.length, sharesCoalescedRing ? 0 : 1)
  t.is(report.hints.length, (runsPaged32() ? 0 : 1) + told.length)
})

kvmTest('doctor says what steps, breaks and watches, by where the guest is', async (t) => {
  const [, { debug }] = await json(['doctor'])
  t.deepEqual(Object.keys(debug), ['real', 'protected', 'long', 'user'])
  for (const means of Object.values<Record<string, unknown>>(debug)) {
    // Without either of them nothing could be debugged there.
    t.true(means['step'] || means['trapStep'])
    t.true(means['step'] || !means['blocksInterrupts'])
    t.true(['debug', 'internal-error', undefined].includes(means['int3'] as string | undefined))
  }
  t.false(debug.user.hlt, 'hlt is privileged')
  t.true(debug.user.trapInt3)
  t.false(debug.real.trapInt3, 'real mode has no trap table')
  const told = (await vmexit(['doctor'])).stdout.toString()
  for (const [place, means] of Object.entries<Record<string, unknown>>(debug)) {
    const line = told
      .split('\n')
      .find((text) => text.includes(` ${place} `) && /[sS]tep/.test(text))
    const works = line
      ?.trim()
      .split(/[\s,]+/)
      .filter((word) => /^[a-z]/i.test(word))
      .slice(1)
    t.deepEqual(
      works,
      Object.keys(means).filter((name) => means[name]),
    )
  }
})
