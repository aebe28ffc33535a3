// How a process is ended, whatever it does: in time, by kill() and by close(); and that nothing of
// it is left.
import { readdirSync } from 'node:fs'
import { setImmediate as turn, setTimeout as wait } from 'node:timers/promises'

import type { ExecutionContext } from 'ava'

import { Process, type ProcessOptions, execute, hostFile } from '../src/process/index.ts'
import { programTest } from './helpers/exec/host.ts'
import { vmError } from './helpers/machine.ts'
import { randomBelow } from './helpers/random.ts'
import { affordable, patient } from './helpers/speed.ts'

const busybox = ['/bin/busybox', 'busybox-static'] as const
const isSoak = process.env['VMEXIT_SOAK'] === '1'
const path = '/bin/busybox'

function busyboxTest(
  title: string,
  body: (t: ExecutionContext, files: ProcessOptions['files'] & object) => Promise<void>,
): void {
  programTest(title, busybox, (t, program) =>
    body(t, { [path]: hostFile(program, { readOnly: true }) }),
  )
}

/** What a process does when it is ended. */
const states: Readonly<Record<string, { args: string[]; hook?: (p: Process) => void }>> = {
  spins: { args: ['sh', '-c', 'while :; do :; done'] },
  'makes calls': { args: ['sh', '-c', 'while :; do cd /; done'] },
  'waits for its input': { args: ['cat'] },
  'waits for its input by poll': { args: ['sh', '-c', 'read -t 1000 x'] },
  'waits for room in its output': { args: ['yes'] },
  'waits for room in its error output': {
    args: ['sh', '-c', 'while :; do echo lost >&2; done'],
  },
  sleeps: { args: ['sleep', '1000'] },
  'waits for a handler': {
    args: ['cat', '/dev/null'],
    hook: (p) => void p.syscalls.set('openat', () => new Promise(() => {})),
  },
  'waits in a handler that has asked for what is next': {
    args: ['cat'],
    hook: (p) => void p.syscalls.set('read', async (_, next) => (await next()) && (await next())),
  },
  'has handlers that go on': {
    args: ['sh', '-c', 'while :; do cd /; done'],
    hook: (p) => void p.syscalls.set('*', (_, next) => next()),
  },
}

for (const [state, { args, hook }] of Object.entries(states)) {
  const start = (files: ProcessOptions['files'] & object, timeoutMs?: number): Process => {
    const p = new Process(path, { args, files, ...(timeoutMs !== undefined && { timeoutMs }) })
    hook?.(p)
    return p
  }

  busyboxTest(`a process that ${state} ends in time`, async (t, files) => {
    for (const timeoutMs of [0, 1, 40]) {
      await using p = start(files, timeoutMs)
      const { reason, signal, exitCode, durationMs } = await p.exited
      t.deepEqual(
        { reason, signal, exitCode },
        { reason: 'timeout', signal: 'SIGKILL', exitCode: null },
      )
      t.true(durationMs >= timeoutMs - 1)
    }
  })

  busyboxTest(`a process that ${state} is killed`, async (t, files) => {
    const random = randomBelow(7)
    for (let turns = 0; turns < (isSoak ? 300 : affordable(10)); turns++) {
      await using p = start(files, patient(300_000))
      await wait(random(30))
      p.kill()
      const { reason, signal } = await p.exited
      t.deepEqual({ reason, signal }, { reason: 'killed', signal: 'SIGKILL' })
    }
  })

  if (!state.includes('handler'))
    busyboxTest(`a process that ${state} is ended by a signal`, async (t, files) => {
      const random = randomBelow(8)
      for (let turns = 0; turns < (isSoak ? 300 : affordable(10)); turns++) {
        await using p = start(files, patient(300_000))
        await wait(random(30))
        p.kill('SIGTERM')
        const { reason, signal } = await p.exited
        t.deepEqual({ reason, signal }, { reason: 'killed', signal: 'SIGTERM' })
      }
    })

  busyboxTest(`a process that ${state} is closed`, async (t, files) => {
    const random = randomBelow(9)
    for (let turns = 0; turns < (isSoak ? 300 : affordable(10)); turns++) {
      const p = start(files, patient(300_000))
      if (turns > 0) await wait(random(30))
      p.close()
      p.close()
      t.like(await p.exited, { reason: 'killed', signal: 'SIGKILL' })
      p.kill('SIGTERM')
      p.kill()
    }
  })
}

busyboxTest('a handler that fails ends the process', async (t, files) => {
  const failure = new Error('mine')
  const fails = {
    throws: () => {
      throw failure
    },
    rejects: () => Promise.reject(failure),
  }
  for (const handler of Object.values(fails)) {
    await using p = new Process(path, { args: ['cat', '/dev/null'], files })
    p.syscalls.set('openat', handler)
    const error = await t.throwsAsync(p.exited, vmError('ERR_HANDLER', /openat failed: .*mine/))
    t.is(error?.cause, failure)
  }
  for (const nothing of [undefined, 'x', 0.5, NaN, null]) {
    await using p = new Process(path, { args: ['cat', '/dev/null'], files })
    p.syscalls.set('openat', () => nothing as unknown as bigint)
    await t.throwsAsync(p.exited, vmError('ERR_HANDLER', /must return/))
  }
})

busyboxTest('what a handler has asked for and not waited for is over with it', async (t, files) => {
  await using p = new Process(path, { args: ['cat', '-', '-'], files, timeoutMs: patient(30_000) })
  const asked: (() => Promise<bigint>)[] = []
  p.syscalls.set('read', (_, next) => {
    asked.push(next)
    // There is nothing to read before the second question.
    if (asked.length === 2) p.stdin.end('line\n')
    if (asked.length > 1) return next()
    // The process has its answer: the end of the first file.
    void next()
    return 0n
  })
  let text = ''
  for await (const chunk of p.stdout as AsyncIterable<Buffer>) text += String(chunk)
  t.is(text, 'line\n')
  t.is((await p.exited).exitCode, 0)
  for (const next of asked)
    await t.throwsAsync(async () => next(), vmError('ERR_HANDLER', /read has answered/))
})

busyboxTest('a reader that is slow makes the process wait', async (t, files) => {
  await using p = new Process(path, { args: ['yes', 'x'.repeat(1000)], files })
  const before = process.memoryUsage.rss()
  let [bytes, most] = [0, 0]
  for await (const chunk of p.stdout as AsyncIterable<Buffer>) {
    bytes += chunk.length
    most = Math.max(most, p.stdout.readableLength + p.stderr.readableLength)
    await wait(5)
    if (bytes > affordable(8) << 20) break
  }
  t.true(most <= 192 * 1024, `${most} bytes waited`)
  t.true(process.memoryUsage.rss() - before < 128 << 20)
  // Its reader has gone.
  t.like(await p.exited, { exitCode: null, signal: 'SIGPIPE' })
})

busyboxTest('output that is too much ends execute()', async (t, files) => {
  const options = { files, maxOutputBytes: 1 << 20 }
  await t.throwsAsync(
    execute(path, ['yes'], options),
    vmError('ERR_LIMIT', /over 1048576 bytes to stdout/),
  )
  const loud = ['sh', '-c', `while :; do echo ${'lost'.repeat(1000)} >&2; done`]
  await t.throwsAsync(execute(path, loud, options), vmError('ERR_LIMIT', /to stderr/))
})

busyboxTest('input that fails is an error of the read', async (t, files) => {
  async function* broken(): AsyncGenerator<string> {
    yield 'begun\n'
    throw new Error('mine')
  }
  const { exitCode, stdout, stderr } = await execute(path, ['cat'], { files, stdin: broken() })
  t.is(exitCode, 1)
  t.is(stdout, 'begun\n')
  t.is(stderr, 'cat: read error: Input/output error\n')
})

busyboxTest('input that never comes to an end is read as far as it is wanted', async (t, files) => {
  let pieces = 0
  function* endless(): Generator<string> {
    for (;;) {
      pieces++
      yield 'line\n'.repeat(1000)
    }
  }
  const { stdout, exitCode } = await execute(path, ['head', '-n', '2'], { files, stdin: endless() })
  t.is(stdout, 'line\nline\n')
  t.is(exitCode, 0)
  t.true(pieces < 1000, `${pieces}`)
})

busyboxTest('many processes at once', async (t, files) => {
  const numbers = Array.from({ length: isSoak ? 64 : affordable(16) }, (_, index) => index)
  const all = await Promise.all(
    numbers.map((index) =>
      execute(path, ['sh', '-c', `read x; echo $((x * ${index}))`], { files, stdin: '7\n' }),
    ),
  )
  t.deepEqual(
    all.map(({ stdout }) => stdout),
    numbers.map((index) => `${index * 7}\n`),
  )
})

busyboxTest('processes in a row leave neither descriptors nor memory', async (t, files) => {
  const descriptors = (): number => readdirSync('/proc/self/fd').length
  const run = async (count: number): Promise<void> => {
    for (let index = 0; index < count; index++) {
      const ended = execute(path, index % 2 ? ['cat', path] : ['ls'], {
        files,
        encoding: 'buffer',
        maxOutputBytes: 100_000,
      })
      // Every other one is ended in the middle.
      if (index % 2) await t.throwsAsync(ended, vmError('ERR_LIMIT'))
      else t.is((await ended).exitCode, 0)
    }
    await turn()
    global.gc!()
    await turn()
  }
  const count = isSoak ? 1000 : affordable(250)
  await run(count / 5)
  const before = { open: descriptors(), rss: process.memoryUsage.rss() }
  await run(count)
  // Other tests of this file have theirs, some at a time.
  t.true(descriptors() - before.open < 100, `${descriptors()} instead of ${before.open}`)
  t.true(process.memoryUsage.rss() - before.rss < 96 << 20)
})
