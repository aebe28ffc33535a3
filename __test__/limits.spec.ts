// A host that has run out of threads or descriptors says so, and is forgiven as soon as it has some
// again.
import { spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

import test, { type ExecutionContext } from 'ava'

import { serialTest } from './fixtures/serial.ts'
import { affordable } from './helpers/speed.ts'

interface Seen {
  code: string
  call: string
  errno: number
  message: string
}

/** Runs a scenario with so many descriptors; what it saw. */
async function run<T>(
  t: ExecutionContext,
  words: readonly string[],
  { files = 1024, env = {} }: { files?: number; env?: Record<string, string> } = {},
): Promise<T> {
  const script = fileURLToPath(new URL('fixtures/limits.mjs', import.meta.url))
  const limited = ['-c', `ulimit -n ${files}; exec "$@"`, 'sh', process.execPath, script, ...words]
  const child = spawn('sh', limited, { timeout: 300_000, env: { ...process.env, ...env } })
  let [stdout, stderr] = ['', '']
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text))
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text))
  const code = await new Promise((resolve) => child.on('close', resolve))
  t.deepEqual({ code, stderr }, { code: 0, stderr: '' })
  return JSON.parse(stdout) as T
}

const EAGAIN = 11
const EMFILE = 24

const folder = mkdtempSync(join(tmpdir(), 'vmexit-limits-'))
test.after.always(() => rmSync(folder, { recursive: true, force: true }))

const source = fileURLToPath(new URL('fixtures/threads.c', import.meta.url))
const library = join(folder, 'threads.so')
const compiled = spawnSync('cc', ['-shared', '-fPIC', '-o', library, source, '-ldl'])
const withoutThreads = { LD_PRELOAD: library, VMEXIT_NO_THREADS: join(folder, 'most') }

for (const what of ['the timer thread', 'the thread of a run', 'the threads of further vCPUs']) {
  const title = `${what} cannot start, and can later`
  if (compiled.status !== 0) {
    test.skip(`${title}: there is no C compiler`, (t) => t.pass())
    continue
  }
  serialTest(title, async (t) => {
    const { seen, reason } = await run<{ seen: Seen[]; reason: string }>(t, [what], {
      env: withoutThreads,
    })
    t.is(seen.length, 2)
    for (const error of seen) {
      t.like(error, { code: 'ERR_LIMIT', call: 'pthread_create', errno: EAGAIN })
      t.regex(error.message, /^pthread_create failed: .*; close\(\) machines .*ulimit -u/)
    }
    t.is(reason, 'timeout')
  })
}

serialTest('without descriptors each error says what to do, and none is lost', async (t) => {
  const { errors } = await run<{ errors: (Seen & { isVmError: boolean })[] }>(t, ['descriptors'], {
    files: 64,
  })
  t.true(errors.length > 8, JSON.stringify(errors))
  for (const error of errors) {
    t.like(error, { isVmError: true, errno: EMFILE }, JSON.stringify(error))
    t.regex(error.message, /close\(\) machines that are done, or raise `ulimit -n`$/)
  }
  const calls = new Set(errors.map(({ call }) => call))
  for (const call of ['open', 'KVM_CREATE_VM', 'KVM_CREATE_VCPU', 'eventfd']) {
    t.true(calls.has(call), call)
  }
})

serialTest('a machine can be made as soon as close() of another has returned', async (t) => {
  const times = affordable(50)
  const { code, made } = await run<{ code: number; made: number }>(t, ['room', String(times)], {
    files: 64,
  })
  t.deepEqual({ code, made }, { code: EMFILE, made: times })
})

serialTest('a process keeps no more after many closed machines than after one', async (t) => {
  const many = affordable(100)
  const { one, machines, ...rest } = await run<
    Record<'one' | 'many', number[]> & { machines: number }
  >(t, ['kept', String(many)])
  t.is(machines, many + 1)
  const [files, threads] = rest.many as [number, number]
  t.true(files <= one[0]!, `${files} descriptors, and ${one[0]} after one machine`)
  // A thread that waits for a further run may have ended, or not: one for each machine is a leak.
  t.true(threads <= one[1]! + 3, `${threads} threads, and ${one[1]} after one machine`)
})
