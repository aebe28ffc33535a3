// Processes by their API: streams, ends, hooks, options.
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'

import test from 'ava'
import {
  Process,
  type SystemCall,
  execute,
  hostDirectory,
  hostFile,
  memoryDirectory,
} from '../src/process/index.ts'
import { kvmTest } from './helpers/kvm.ts'
import { vmError } from './helpers/machine.ts'
import { program } from './helpers/programs.ts'

const { SIGUSR1, SIGTERM } = (await import('node:os')).constants.signals

kvmTest('a program reads, writes and ends', async (t) => {
  const { stdout, stderr, ...result } = await execute(program('echo'), ['one', 'two'], {
    stdin: 'lower case',
    env: { NAME: 'value' },
  })
  t.is(stdout, 'one two NAME=value LOWER CASE')
  t.is(stderr, 'end\n')
  const { exitCode, signal, reason, refused, syscalls } = result
  t.deepEqual(
    { exitCode, signal, reason, refused },
    {
      exitCode: 7,
      signal: null,
      reason: 'exit',
      refused: {},
    },
  )
  t.is(syscalls['exit_group'], 1)
  t.true(result.durationMs > 0)
})

kvmTest('bytes come as bytes', async (t) => {
  const stdin = Uint8Array.from({ length: 100_000 }, (_, index) => index & 0xff)
  const { stdout } = await execute(program('cat'), [], { stdin, encoding: 'buffer' })
  t.true(Buffer.isBuffer(stdout))
  t.deepEqual(new Uint8Array(stdout), stdin)
})

kvmTest('what is written to stdin is read, piece by piece, and the end is the end', async (t) => {
  using p = new Process(program('cat'))
  const heard: string[] = []
  p.stdout.on('data', (bytes: Buffer) => heard.push(String(bytes)))
  for (const piece of ['first', 'second', 'third']) {
    p.stdin.write(piece)
    await once(p.stdout, 'data')
  }
  p.stdin.end()
  t.is((await p.exited).exitCode, 0)
  t.deepEqual(heard, ['first', 'second', 'third'])
})

kvmTest('stdin may be a stream, and a generator', async (t) => {
  async function* pieces() {
    yield 'a'
    await sleep(1)
    yield new Uint8Array([0x62])
  }
  t.is((await execute(program('cat'), [], { stdin: pieces() })).stdout, 'ab')
  t.is((await execute(program('cat'), [], { stdin: ['c', 'd'] })).stdout, 'cd')
})

kvmTest('a stream that fails ends as the end of the input does', async (t) => {
  async function* pieces() {
    yield 'a'
    await sleep(1)
    throw new Error('no more')
  }
  using p = new Process(program('cat'), { stdin: pieces() })
  const failed = once(p.stdin, 'error')
  p.stdout.resume()
  t.is((await p.exited).exitCode, 0)
  t.is(((await failed)[0] as Error).message, 'no more')
})

kvmTest('the files that are given are there, and only these', async (t) => {
  const files = {
    '/text': 'a text',
    '/bytes': Uint8Array.of(1, 2, 3),
    '/work': memoryDirectory({ 'a/b': 'below' }),
  }
  const { stdout } = await execute(program('files'), ['/text', '/bytes', '/work/a/b', '/etc'], {
    files,
  })
  t.is(stdout, '/text: 6\n/bytes: 3\n/work/a/b: 5\n/etc: ENOENT\n')
})

kvmTest('what it has left can be read, until it is closed', async (t) => {
  using p = new Process(program('leave'), { files: { '/out': memoryDirectory() } })
  t.is((await p.exited).exitCode, 0)
  t.deepEqual(p.files.list('/out'), [{ name: 'left', kind: 'file' }])
  t.is(String(p.files.read('/out/left')), 'left over')
  t.throws(() => p.files.read('/out/none'), vmError('ERR_PAYLOAD', /out\/none/))
  t.throws(() => p.files.read('out'), vmError('ERR_INVALID_OPTION', /absolute/))
  p.close()
  await p.exited
  await sleep(0)
  t.throws(() => p.files.read('/out/left'), vmError('ERR_VM_CLOSED'))
})

kvmTest('a fault is told as a signal, and explained', async (t) => {
  const { reason, signal, exitCode, fault, autopsy } = await execute(program('ends'), ['fault'])
  t.deepEqual({ reason, signal, exitCode }, { reason: 'fault', signal: 'SIGSEGV', exitCode: null })
  t.is(fault?.vector, 14)
  t.is(fault?.address, 0x10n)
  t.true(String(autopsy).length > 0)
})

for (const [how, signal] of [
  ['abort', 'SIGABRT'],
  ['kill', 'SIGTERM'],
] as const)
  kvmTest(`${how} is told as ${signal}`, async (t) => {
    const result = await execute(program('ends'), [how])
    t.like(result, { reason: 'killed', signal, exitCode: null })
  })

for (const how of ['spin', 'read', 'sleep', 'flood'])
  kvmTest(`a time-out and kill() end what does ${how}`, async (t) => {
    using late = new Process(program('ends'), { args: [how], timeoutMs: 30 })
    t.like(await late.exited, { reason: 'timeout', signal: 'SIGKILL', exitCode: null })
    using p = new Process(program('ends'), { args: [how] })
    await sleep(10)
    p.kill()
    p.kill()
    t.like(await p.exited, { reason: 'killed', signal: 'SIGKILL', exitCode: null })
  })

kvmTest('kill() sends a signal, which a handler may take', async (t) => {
  using p = new Process(program('ends'), { args: ['handle'] })
  t.is(String((await once(p.stdout, 'data'))[0]), 'signal 0\n')
  const heard = once(p.stdout, 'data')
  p.kill('SIGUSR1')
  t.is(String((await heard)[0]), `signal ${SIGUSR1}\n`)
  p.kill(SIGTERM)
  t.like(await p.exited, { reason: 'killed', signal: 'SIGTERM' })
  p.kill('SIGUSR1')
})

kvmTest('a hook watches, denies and answers', async (t) => {
  using p = new Process(program('files'), { args: ['/a', '/b', '/c'], files: { '/a': 'aa' } })
  const seen: string[] = []
  p.syscalls.set('open', async (call, next) => {
    const path = call.memory.readString(call.args[0]!)
    const rax = path === '/b' ? -13 : await next()
    seen.push(`${call.name} ${call.number} ${path} ${rax}`)
    return rax
  })
  t.true(p.syscalls.has('open'))
  const chunks: Buffer[] = []
  p.stdout.on('data', (bytes: Buffer) => chunks.push(bytes))
  await p.exited
  t.deepEqual(seen, ['open 2 /a 3', 'open 2 /b -13', 'open 2 /c -2'])
  t.is(Buffer.concat(chunks).toString(), '/a: 2\n/b: EACCES\n/c: ENOENT\n')
})

kvmTest('a hook of all calls sees each of them, its end too', async (t) => {
  using p = new Process(program('echo'), { stdin: '' })
  const calls: SystemCall[] = []
  p.syscalls.set('*', (call, next) => {
    calls.push(call)
    return next()
  })
  p.stdout.resume()
  const { exitCode, syscalls } = await p.exited
  t.is(exitCode, 7)
  t.is(calls.at(-1)?.name, 'exit_group')
  const counted = Object.values(syscalls).reduce((sum, count) => sum + count, 0)
  t.is(calls.length, counted)
})

kvmTest('a hook that comes and goes while the program runs', async (t) => {
  using p = new Process(program('ends'), { args: ['ask'] })
  let asked = 0
  const first = new Promise<void>((resolve) => {
    p.syscalls.set('getppid', () => (asked++ === 0 && resolve(), 1n))
  })
  await first
  t.true(p.syscalls.delete('getppid'))
  t.false(p.syscalls.delete('getppid'))
  await sleep(10)
  const before = asked
  await sleep(20)
  t.is(asked, before)
  p.kill()
  await p.exited
})

kvmTest('what a hook throws, and what is no answer, is an error', async (t) => {
  for (const handler of [
    () => {
      throw new Error('mine')
    },
    () => Promise.reject(new Error('mine')),
    () => 'text' as unknown as bigint,
    () => 1.5,
  ]) {
    using p = new Process(program('echo'), { stdin: '' })
    p.syscalls.set('write', handler).set('writev', handler)
    await t.throwsAsync(p.exited, { code: 'ERR_HANDLER' })
  }
})

kvmTest('a hook that never answers does not hold up the end', async (t) => {
  for (const end of [(p: Process) => p.kill(), (p: Process) => p.close()]) {
    using p = new Process(program('echo'), { stdin: '' })
    const asked = new Promise<void>((resolve) => {
      const never = (): Promise<bigint> => {
        resolve()
        return new Promise(() => {})
      }
      p.syscalls.set('writev', never).set('write', never)
    })
    await asked
    end(p)
    t.like(await p.exited, { reason: 'killed', signal: 'SIGKILL' })
  }
})

for (const call of ['poll', 'select'])
  kvmTest(`what waits for months by ${call} does, as no timer of Node.js can`, async (t) => {
    const warnings: string[] = []
    const warned = ({ name }: Error): void => void warnings.push(name)
    process.on('warning', warned)
    t.teardown(() => process.off('warning', warned))
    using p = new Process(program('ends'), { args: [call] })
    await p.snapshot({ when: 'waits' })
    // A timer that is too long comes at once, and warns.
    await sleep(50)
    p.stdin.end('x')
    t.like(await p.exited, { exitCode: 0 })
    t.deepEqual(warnings, [])
  })

for (const [title, how] of [
  ['a signal that is open only to ppoll and pselect6 ends them', 'open'],
  ['a sleep that a signal ends says what is left of it', 'left'],
] as const)
  kvmTest(title, async (t) => {
    using p = new Process(program('ends'), { args: [how] })
    for (const _ of [1, 2]) {
      await p.snapshot({ when: 'waits' })
      const told = once(p.stdout, 'data')
      p.kill('SIGUSR1')
      t.is(String((await told)[0]), `signal ${SIGUSR1}\n`)
    }
    t.like(await p.exited, { exitCode: 0 })
  })

kvmTest('a network and threads are refused, and named', async (t) => {
  const { stdout, stderr, refused } = await execute(program('ends'), ['refused'])
  t.is(stdout, 'socket: EACCES\nfork: ENOSYS\nepoll_create1: ENOSYS\n')
  t.regex(stderr, /^vmexit: fork: a process has one thread here \(ENOSYS\)\n$/)
  t.deepEqual(refused, { socket: 1, fork: 1, epoll_create1: 1 })
})

kvmTest('numbers that no call has are counted as one, however many there are', async (t) => {
  const { refused, syscalls } = await execute(program('ends'), ['numbers'])
  t.deepEqual(refused, { syscall_512: 2000 })
  t.is(syscalls['syscall_512'], 2000)
})

kvmTest('a seed and a fixed clock make two runs the same', async (t) => {
  const options = { random: 7, clock: { fixed: new Date('2001-02-03T04:05:06Z') } }
  const [one, other] = [
    await execute(program('chance'), [], options),
    await execute(program('chance'), [], options),
  ]
  t.is(one.stdout, other.stdout)
  t.regex(one.stdout, /^981173106 [0-9a-f]{32} slept 3600\n$/)
  const third = await execute(program('chance'), [], { ...options, random: 8n })
  t.not(third.stdout, one.stdout)
  t.true(one.durationMs < 3_600_000)
})

kvmTest('too much output is an error', async (t) => {
  await t.throwsAsync(execute(program('ends'), ['flood'], { maxOutputBytes: 100_000 }), {
    code: 'ERR_LIMIT',
    message: /100000 bytes to stdout/,
  })
})

test('options that are none', (t) => {
  const image = new Uint8Array(8)
  const wrong: [unknown, unknown, RegExp][] = [
    ['relative', {}, /program must be an absolute path/],
    [7, {}, /program/],
    [image, { args: ['a\0b'] }, /args\[0\]/],
    [image, { args: 'text' }, /args/],
    [image, { env: { 'A=B': '' } }, /env/],
    [image, { env: { A: 1 } }, /env\.A/],
    [image, { cwd: 'here' }, /cwd/],
    [image, { files: { here: '' } }, /files\["here"\]/],
    [image, { files: { '/a': 1 } }, /files\["\/a"\]/],
    [image, { files: { '/a': hostDirectory('/no such folder') } }, /no such folder/],
    [image, { stdin: 1 }, /stdin/],
    [image, { memoryBytes: 1 }, /memoryBytes/],
    [image, { timeoutMs: -1 }, /timeoutMs/],
    [image, { random: 'seed' }, /random/],
    [image, { random: -1 }, /random/],
    [image, { clock: { fixed: 'now' } }, /clock\.fixed/],
    [image, { memory: 1 }, /memory/],
  ]
  for (const [what, options, message] of wrong)
    t.throws(
      () => new Process(what as string, options as object),
      vmError('ERR_INVALID_OPTION', message),
    )
  t.throws(() => memoryDirectory({ '/a': '' }), vmError('ERR_INVALID_OPTION', /files/))
  t.throws(() => hostFile(''), vmError('ERR_INVALID_OPTION', /path/))
})

kvmTest('a program that is none, or not there, is told by its path', (t) => {
  t.throws(() => new Process(new Uint8Array(100)), vmError('ERR_PAYLOAD'))
  t.throws(() => new Process('/bin/none'), vmError('ERR_PAYLOAD', /\/bin\/none: No such file/))
  const files = { '/text': 'text' }
  t.throws(() => new Process('/text', { files }), vmError('ERR_PAYLOAD'))
})

kvmTest('names of calls and signals that are none', async (t) => {
  using p = new Process(program('echo'), { stdin: '' })
  t.throws(
    () => p.syscalls.set('opena', () => 0),
    vmError('ERR_INVALID_OPTION', /did you mean open\?/),
  )
  t.throws(() => p.syscalls.set('open', 1 as never), vmError('ERR_INVALID_OPTION', /function/))
  t.throws(() => p.kill('SIGNONE'), vmError('ERR_INVALID_OPTION', /signal/))
  t.throws(() => p.kill(65), vmError('ERR_INVALID_OPTION', /signal/))
  p.stdout.resume()
  await p.exited
})
