import { spawnSync } from 'node:child_process'
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'ava'

import { Process, execute } from '../src/process/index.ts'
import { nativeImage } from './helpers/native.ts'

const options = ['-O2', '-w', '-static']
const tools = { musl: 'musl-gcc', glibc: 'cc' }

/** A program, or why there is none. */
const built = (tool: string, source: string) =>
  nativeImage(`${source}-${tool}`, { tool, sources: [`${source}.c`], options })

/** What ends by itself, and what a signal ends. */
const parts = [
  ...['plain', 'order', 'nested', 'masks', 'stacks', 'faults', 'divides', 'vectors', 'registers'],
  ...['waits', 'pipes', 'leaps', 'abort', 'term', 'realtime', 'unblocked', 'nowhere', 'far'],
  ...['stackless', 'frameless', 'restorerless', 'overflow', 'blocked', 'ignored'],
]

for (const [libc, tool] of Object.entries(tools)) {
  test(`${libc}: signals do what they do on the host`, async (t) => {
    const program = built(tool, 'signals')
    if ('missing' in program) return t.pass(`skipped: ${program.missing}`)
    const { image } = program
    const folder = mkdtempSync(join(tmpdir(), 'vmexit-signals-'))
    t.teardown(() => rmSync(folder, { recursive: true }))
    const path = join(folder, 'signals')
    writeFileSync(path, image)
    chmodSync(path, 0o755)
    for (const part of parts) {
      const { stdout, status, signal } = spawnSync(path, [part], { encoding: 'utf8' })
      const here = await execute(image, [part])
      t.is(here.stdout, stdout, part)
      // Node.js has no name for a real-time signal.
      if (part !== 'realtime') t.deepEqual([here.exitCode, here.signal], [status, signal], part)
    }
  })

  test(`${libc}: kill() comes to a handler, whatever the process does`, async (t) => {
    const program = built(tool, 'interrupted')
    if ('missing' in program) return t.pass(`skipped: ${program.missing}`)
    using process = new Process(program.image, { timeoutMs: 300_000 })
    const kill = (): void => process.kill('SIGTERM')
    let [reads, waits] = [0, 0]
    for (const call of ['pause', 'rt_sigsuspend', 'read', 'nanosleep', 'clock_nanosleep'] as const)
      process.syscalls.set(call, ({ name }, next) => {
        const answer = next()
        // The third read is the second one, made again.
        if (name === 'read' && ++reads === 3) process.stdin.write('x')
        else kill()
        return answer
      })
    process.syscalls.set('rt_sigtimedwait', ({ args }, next) => {
      const answer = next()
      // Made again, it finds the signal.
      if (args[2] === 0n && ++waits === 1) kill()
      return answer
    })
    let text = ''
    process.stdout.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk
      if (/computes \d\n$/.test(text)) kill()
    })
    const { signal, reason } = await process.exited
    t.deepEqual([signal, reason], ['SIGTERM', 'killed'])
    const handled = ['signal 15', 'code 0']
    const lines = [
      ...[...handled, 'pause -1', 'errno 4'],
      ...[...handled, 'sigsuspend -1', 'errno 4'],
      ...[...handled, 'read -1', 'errno 4'],
      ...[...handled, 'nanosleep -1', 'errno 4'],
      ...[...handled, 'read 1', 'byte 120'],
      ...['sigtimedwait -1', 'errno 11', 'sigwaitinfo 15'],
      ...['computes 0', ...handled, 'computes 1'],
    ]
    t.deepEqual(text.trimEnd().split('\n'), lines)
  })
}

test('a timer comes to what waits and to what computes, as on the host', async (t) => {
  const program = built(tools.musl, 'interrupted')
  if ('missing' in program) return t.pass(`skipped: ${program.missing}`)
  const folder = mkdtempSync(join(tmpdir(), 'vmexit-signals-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  const path = join(folder, 'interrupted')
  writeFileSync(path, program.image)
  chmodSync(path, 0o755)
  const { stdout, signal } = spawnSync(path, ['timers'], { encoding: 'utf8' })
  const here = await execute(program.image, ['timers'], { timeoutMs: 300_000 })
  t.is(here.stdout, stdout)
  t.deepEqual([here.signal, here.reason, signal], ['SIGALRM', 'killed', 'SIGALRM'])
  t.deepEqual(here.refused, {})
})

test('a signal that comes before the first instruction ends a process', async (t) => {
  const program = built(tools.musl, 'signals')
  if ('missing' in program) return t.pass(`skipped: ${program.missing}`)
  using process = new Process(program.image, { args: ['plain'] })
  process.kill('SIGHUP')
  const { signal, reason, syscalls } = await process.exited
  t.deepEqual([signal, reason, syscalls], ['SIGHUP', 'killed', {}])
})

test('a reader that is gone is SIGPIPE', async (t) => {
  const program = built(tools.musl, 'interrupted')
  if ('missing' in program) return t.pass(`skipped: ${program.missing}`)
  using process = new Process(program.image, { args: ['unread'], timeoutMs: 300_000 })
  process.stdout.once('data', () => process.stdout.destroy())
  const { exitCode } = await process.exited
  // EPIPE, after its handler.
  t.is(exitCode, 32)
})
