// Snapshots of processes: what goes on from them, and what cannot.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import {
  Process,
  ProcessSnapshot,
  execute,
  hostDirectory,
  memoryDirectory,
} from '../src/process/index.ts'
import { kvmTest } from './helpers/kvm.ts'
import { vmError } from './helpers/machine.ts'
import { program } from './helpers/programs.ts'

kvmTest('many processes go on from one, each with its own input', async (t) => {
  using first = new Process(program('warm'), { files: { '/out': memoryDirectory() } })
  using warm = await first.snapshot({ when: 'waits' })
  for (const stdin of ['one', 'two', 'three', 'four']) {
    const { stdout, exitCode, syscalls } = await execute(warm, [], { stdin })
    // The start is counted where it was made.
    t.deepEqual([stdout, exitCode, syscalls['getppid']], [`1: ${stdout.slice(3)}`, 0, undefined])
    t.is(stdout, `1: ${stdout.slice(3)}`)
    t.is(stdout.slice(3), stdin)
  }
  const all = await Promise.all(
    Array.from({ length: 8 }, (_, index) => execute(warm, [], { stdin: `input ${index}` })),
  )
  t.deepEqual(
    all.map(({ stdout }) => stdout),
    Array.from({ length: 8 }, (_, index) => `1: input ${index}`),
  )
  first.stdin.end('own')
  const chunks: Buffer[] = []
  first.stdout.on('data', (bytes: Buffer) => chunks.push(bytes))
  t.is((await first.exited).exitCode, 0)
  t.is(Buffer.concat(chunks).toString(), '1: own')
})

kvmTest('files in memory are each process own', async (t) => {
  using first = new Process(program('warm'), { files: { '/out': memoryDirectory() } })
  using warm = await first.snapshot({ when: 'waits' })
  using one = new Process(warm, { stdin: 'one' })
  using other = new Process(warm, { stdin: 'other' })
  for (const p of [one, other]) p.stdout.resume()
  await Promise.all([one.exited, other.exited])
  t.is(String(one.files.read('/out/input')), 'one')
  t.is(String(other.files.read('/out/input')), 'other')
})

kvmTest('a snapshot before the first instruction, and one amid a loop', async (t) => {
  using first = new Process(program('echo'), { args: ['x'], stdin: '' })
  using early = await first.snapshot()
  first.stdout.resume()
  await first.exited
  t.is((await execute(early, [], { stdin: 'abc' })).stdout, 'x ABC')
  using spinning = new Process(program('ends'), { args: ['spin'] })
  await new Promise((resolve) => setTimeout(resolve, 20))
  using amid = await spinning.snapshot()
  spinning.kill()
  t.like(await execute(amid, [], { timeoutMs: 30 }), { reason: 'timeout' })
})

kvmTest('args are what /proc/self/cmdline tells from then on', async (t) => {
  using first = new Process(program('warm'), {
    args: ['cmdline'],
    files: { '/out': memoryDirectory() },
  })
  using warm = await first.snapshot({ when: 'waits' })
  t.is((await execute(warm, ['new', 'words'])).stdout, '1: |new|words|')
})

kvmTest('a file of the host that is open is named', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'vmexit-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  writeFileSync(join(folder, 'data'), 'data')
  const files = { '/host': hostDirectory(folder), '/out': memoryDirectory() }
  using p = new Process(program('warm'), { args: ['open'], files })
  await t.throwsAsync(p.snapshot({ when: 'waits' }), {
    code: 'ERR_SNAPSHOT',
    message: /\/host\/data/,
  })
  p.stdin.end()
  p.stdout.resume()
  t.is((await p.exited).exitCode, 0)
})

kvmTest('what is over, and what is closed, has no snapshot', async (t) => {
  using p = new Process(program('echo'), { stdin: '' })
  p.stdout.resume()
  await p.exited
  await t.throwsAsync(p.snapshot(), { code: 'ERR_SNAPSHOT' })
  using waiting = new Process(program('ends'), { args: ['spin'], timeoutMs: 30 })
  await t.throwsAsync(waiting.snapshot({ when: 'waits' }), { code: 'ERR_SNAPSHOT' })
  await t.throwsAsync(waiting.snapshot({ when: 'later' as 'now' }), { code: 'ERR_INVALID_OPTION' })
  using first = new Process(program('warm'), { files: { '/out': memoryDirectory() } })
  const warm = await first.snapshot({ when: 'waits' })
  t.true(warm instanceof ProcessSnapshot)
  warm.close()
  warm.close()
  t.true(warm.closed)
  t.throws(() => new Process(warm), vmError('ERR_SNAPSHOT', /closed/))
  t.throws(() => new Process(warm, { cwd: '/' } as object), vmError('ERR_INVALID_OPTION', /cwd/))
})

kvmTest('a snapshot outlives the process that it is of, and processes outlive it', async (t) => {
  const first = new Process(program('warm'), { files: { '/out': memoryDirectory() } })
  const warm = await first.snapshot({ when: 'waits' })
  first.close()
  await first.exited
  using p = new Process(warm)
  p.stdout.resume()
  warm.close()
  p.stdin.end('late')
  t.is((await p.exited).exitCode, 0)
  t.is(String(p.files.read('/out/input')), 'late')
})
