// `vmexit attach` and `vmexit logs`: in a pipe, on a terminal, with a reader that goes away.
import { spawn, spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

import test, { type ExecutionContext } from 'ava'

import { until } from '../../../__test__/fixtures/until.ts'
import { main } from '../../../__test__/helpers/cli.ts'
import { kvmTest } from '../../../__test__/helpers/kvm.ts'
import { Bench } from './helpers/command.ts'
import { machine } from './helpers/guests.ts'

/** A daemon with one machine that runs. */
async function running(t: ExecutionContext, what: 'echo' | 'wait' | 'end'): Promise<Bench> {
  const bench = new Bench(t)
  await bench.startDaemon()
  await bench.done('define', bench.file('a.json', machine('a', what)))
  await bench.done('start', 'a')
  return bench
}

const hasEnded = ({ exitCode, signalCode }: { exitCode: any; signalCode: any }): boolean =>
  exitCode !== null || signalCode !== null

kvmTest('what a machine has printed is kept when it has ended', async (t) => {
  const bench = await running(t, 'end')
  t.true(await bench.reaches('a', 'ended'))
  t.is(await bench.done('logs', 'a'), 'ok')
  t.is(await bench.done('logs', '-f', 'a'), 'ok')
  t.is(await bench.done('logs', 'a', '--bytes', '1'), 'k')
  const [, document] = await bench.json(['logs', 'a'])
  t.deepEqual(document, { machine: 'a', text: 'ok', textBase64: 'b2s=' })
})

kvmTest('attach in a pipe types stdin, byte for byte, until the machine ends', async (t) => {
  const bench = await running(t, 'echo')
  const { child, said } = bench.spawn(['attach', 'a', '--socket', bench.socket])
  t.true(await until(() => said.stdout === 'ok'), said.stderr)
  // In a pipe Ctrl-] is a byte as any other.
  child.stdin.end('a\x1d\x03\r\xff', 'latin1')
  t.true(await until(() => said.stdout === 'oka\x1d\x03\r\xff'), JSON.stringify(said))
  await bench.done('kill', 'a')
  t.true(await until(() => hasEnded(child)))
  t.deepEqual([child.exitCode, said.stderr], [0, ''])
})

kvmTest(
  'logs -f goes on until the machine ends, and attach replays to whoever comes',
  async (t) => {
    const bench = await running(t, 'echo')
    const logs = bench.spawn(['logs', '-f', 'a', '--socket', bench.socket])
    const first = bench.spawn(['attach', 'a', '--socket', bench.socket])
    first.child.stdin.write('hello')
    t.true(
      await until(() => logs.said.stdout === 'okhello' && first.said.stdout === 'okhello'),
      JSON.stringify([logs.said, first.said]),
    )
    const second = bench.spawn(['attach', 'a', '--socket', bench.socket])
    t.true(await until(() => second.said.stdout === 'okhello'))
    second.child.kill('SIGTERM')
    t.true(await until(() => hasEnded(second.child)))
    t.is(second.child.exitCode, 130)
    await bench.done('kill', 'a')
    t.true(await until(() => hasEnded(logs.child) && hasEnded(first.child)))
    t.deepEqual([logs.child.exitCode, first.child.exitCode], [0, 0])
  },
)

kvmTest('a reader that goes away ends logs -f, and says nothing', async (t) => {
  const bench = await running(t, 'echo')
  const { child, said } = bench.spawn(['logs', '-f', 'a', '--socket', bench.socket])
  t.true(await until(() => said.stdout === 'ok'))
  child.stdout.destroy()
  const typist = bench.spawn(['attach', 'a', '--socket', bench.socket])
  // The first bytes may still find room in the pipe.
  t.true(await until(() => typist.child.stdin.write('x') && hasEnded(child)))
  t.deepEqual([child.exitCode, said.stderr], [0, ''])
  await bench.done('kill', 'a')
})

const why = spawnSync('script', ['--version']).error ? 'script (util-linux) not found' : undefined
const declare: typeof kvmTest = (title, body) =>
  why === undefined ? kvmTest(title, body) : test.skip(`${title}: ${why}`, body)

/** Attaches in a terminal, which script(1) opens, and calls `whenUp` when it shows "ok". */
function onTerminal(
  bench: Bench,
  whenUp: (type: (keys: string) => void) => void,
): Promise<{ code: number; shown: string; settings: string[] }> {
  const path = (what: string): string => join(bench.folder, what)
  const script = `
    stty -a > '${path('before')}'
    '${process.execPath}' '${main}' attach a --socket '${bench.socket}'
    echo $? > '${path('code')}'
    stty -a > '${path('after')}'
  `
  const child = spawn('script', ['-qec', script, '/dev/null'])
  let shown = ''
  child.stdout.on('data', (chunk: Buffer) => {
    const wasUp = shown.includes('ok')
    shown += chunk.toString('latin1')
    if (shown.includes('ok') && !wasUp) whenUp((keys) => child.stdin.write(keys))
  })
  return new Promise((resolve, reject) => {
    child.on('error', reject)
    child.on('close', () => {
      const settings = ['before', 'after'].map((what) => readFileSync(path(what), 'utf8'))
      resolve({ code: Number(readFileSync(path('code'), 'utf8')), shown, settings })
    })
  })
}

declare('on a terminal keys go to the guest, Ctrl-C among them, and Ctrl-] leaves', async (t) => {
  const bench = await running(t, 'echo')
  const { code, shown, settings } = await onTerminal(bench, (type) => type('\x03\r\x1dlost'))
  t.is(code, 0)
  t.regex(shown, /attached; Ctrl-\] leaves/)
  t.false(shown.includes('lost'))
  t.regex(settings[0]!, / icanon/)
  t.is(settings[1], settings[0])
  // It runs on, with what was typed.
  t.deepEqual(await bench.states(), { a: 'running' })
  await bench.done('kill', 'a')
  t.regex(await bench.done('logs', 'a'), /^ok/)
})

declare('a machine that ends leaves the terminal as it was', async (t) => {
  const bench = await running(t, 'echo')
  const { code, settings } = await onTerminal(bench, () => void bench.run(['kill', 'a']))
  t.is(code, 0)
  t.is(settings[1], settings[0])
})

declare('a daemon that is killed leaves the terminal as it was', async (t) => {
  const bench = await running(t, 'wait')
  const { settings } = await onTerminal(bench, () => void bench.endDaemon('SIGKILL'))
  t.is(settings[1], settings[0])
  t.true(existsSync(bench.socket))
})
