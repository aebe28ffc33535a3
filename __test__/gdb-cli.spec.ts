// `--gdb` and `--wait`: a guest of the command line that gdb looks into.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'

import test, { type ExecutionContext } from 'ava'

import { Client, packet } from './fixtures/gdb/client.ts'
import { until } from './fixtures/until.ts'
import { main, vmexit } from './helpers/cli.ts'
import { kvmTest } from './helpers/kvm.ts'
import { code } from './helpers/machine.ts'
import { patient } from './helpers/speed.ts'

const folder = mkdtempSync(join(tmpdir(), 'vmexit-gdb-cli-'))
test.after.always(() => rmSync(folder, { recursive: true }))

const file = (name: string, listing: string): string => {
  const path = join(folder, name)
  writeFileSync(path, code(listing))
  return path
}

/** mov al, 7; out 0xf4, al; jmp -2 */
const leaves = file('leaves.bin', 'b0 07 e6 f4 eb fe')
const spins = file('spins.bin', 'eb fe')
const halts = file('halts.bin', 'f4')

/** A command that runs, what it has said, and where gdb finds it. */
async function started(t: ExecutionContext, ...args: string[]) {
  const child: ChildProcess = spawn(process.execPath, [main, 'run', ...args, '--mode', 'long'])
  const said = { stdout: '', stderr: '' }
  child.stdout!.on('data', (text) => (said.stdout += text))
  child.stderr!.on('data', (text) => (said.stderr += text))
  const closed = once(child, 'close')
  t.teardown(async () => {
    child.kill('SIGKILL')
    await closed
  })
  const pattern = /^vmexit: in gdb: target remote (.*)$/m
  t.true(await until(() => pattern.test(said.stderr), patient(300_000)), said.stderr)
  const where = pattern.exec(said.stderr)![1]!
  const place = where.startsWith(':') ? Number(where.slice(1)) : where
  return { child, said, place, closed }
}

kvmTest(
  '`vmexit run --gdb --wait` begins at the word of gdb, and ends with its exit code',
  async (t) => {
    const { said, place, closed } = await started(
      t,
      leaves,
      '--port',
      '0xf4=stop',
      '--gdb',
      '--wait',
    )
    t.true(typeof place === 'string' && existsSync(place))
    using client = await Client.connect(place)
    // Nothing was executed.
    const [rax] = [await client.ask('p0')]
    t.is(rax, '0000000000000000')
    t.is(await client.ask('c'), 'W07')
    client.end()
    const [exitCode] = await closed
    t.is(exitCode, 7, said.stderr)
    t.false(existsSync(dirname(String(place))))
  },
)

kvmTest('`--gdb :PORT` serves a guest that runs, and `--json` stays a document', async (t) => {
  const args = ['--gdb', ':0', '--json', '--timeout', '60s']
  const { said, place, closed, child } = await started(t, spins, ...args)
  t.is(typeof place, 'number')
  using client = await Client.connect(place)
  t.regex(await client.ask('?'), /^T05/)
  client.write(packet('D'))
  await client.closed()
  child.kill('SIGINT')
  const [exitCode] = await closed
  t.is(exitCode, 130)
  t.is(JSON.parse(said.stdout).reason, 'stopped')
})

kvmTest('a guest that has ended stays until gdb goes', async (t) => {
  const { said, place, closed, child } = await started(t, halts, '--gdb', '--wait', '--json')
  using client = await Client.connect(place)
  t.regex(await client.ask('c'), /^T05/)
  t.true(await until(() => said.stdout.includes('"reason": "hlt"')))
  t.regex(await client.ask('g'), /^[0-9a-f]{1000,}$/)
  t.is(child.exitCode, null)
  client.write(packet('D'))
  const [exitCode] = await closed
  t.is(exitCode, 0)
})

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  kvmTest(`${signal} ends a wait for gdb, and leaves nothing`, async (t) => {
    const { place, closed, child } = await started(t, spins, '--gdb', '--wait')
    using client = await Client.connect(place)
    await client.ask('?')
    child.kill(signal)
    const [exitCode] = await closed
    t.is(exitCode, 130)
    t.false(existsSync(dirname(String(place))))
  })
}

test('wrong uses of --gdb are told', async (t) => {
  for (const [flags, expected] of [
    [['--wait'], /--wait waits for gdb: add --gdb/],
    [['--gdb=0.0.0.0:1'], /--gdb must be :PORT or a path, got '0\.0\.0\.0:1'.*127\.0\.0\.1 only/],
    [['--gdb=:70000'], /--gdb must be a whole number from 0 to 65535/],
    [['--gdb='], /--gdb must be :PORT or a path/],
    [['--wait=1'], /--wait takes no value/],
  ] as const) {
    const { code: exitCode, stderr } = await vmexit(['run', spins, '--mode', 'long', ...flags])
    t.is(exitCode, 2, stderr)
    t.regex(stderr, expected)
  }
})

test('a bare --gdb takes no word after it, and help says so', async (t) => {
  const { stdout } = await vmexit(['run', '--help'])
  t.regex(String(stdout), /^ {2}--gdb\[=ADDRESS\] /m)
  t.regex(String(stdout), /^ {2}--wait /m)
  const { stderr } = await vmexit(['run', '--gdb', 'no-such-image', '--mode', 'long'])
  t.regex(stderr, /no-such-image/)
  for (const [command, what] of [
    ['run', 'image'],
    ['boot', 'kernel'],
  ] as const) {
    const { stderr: said } = await vmexit([command, spins, '--gdb', '/tmp/socket'])
    t.regex(said, new RegExp(`takes one ${what}, got '/tmp/socket' too; .* --gdb=PATH;`))
  }
})
