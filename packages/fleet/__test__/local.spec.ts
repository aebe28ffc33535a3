// Jobs of real machines in real child processes of this host.
import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'

import test from 'ava'
import { VirtualMachine, VmError } from 'vmexit'

import { kvmTest } from '../../../__test__/helpers/kvm.ts'
import { map } from '../src/index.ts'
import type { JsonValue } from '../src/job/job.ts'
import { hello, modules, place, resultOf, results, spin } from './helpers/jobs.ts'

/** A member of a value. */
const at = (value: JsonValue | undefined, key: string): unknown =>
  (value as Record<string, unknown> | undefined)?.[key]

kvmTest('a definition comes to what its run says', async (t) => {
  const { options } = place(t)
  const jobs = [
    { id: 'hello', definition: hello },
    { id: 'spin', definition: spin, limits: { timeoutMs: 20 } },
    { id: 'cut', definition: hello, limits: { maxOutputBytes: 5 } },
    { id: 'fault', definition: { mode: 'long' as const, payload: { guest: 'triple-fault' } } },
  ]
  // A process that gets no processor for two seconds after its time is ended, and tried again.
  const found = await results(t, jobs, { ...options, attempts: 10 })
  t.deepEqual(Object.keys(found).toSorted(), ['cut', 'fault', 'hello', 'spin'])
  for (const { id, status, attempts } of Object.values(found)) {
    t.is(status, 'done')
    if (id !== 'spin') t.is(attempts, 1)
  }
  const { value, host, durationMs, guestMs } = found['hello']!
  t.like(value, { reason: 'hlt', output: 'Hello, world!\n' })
  t.is(at(value, 'registers') && at(at(value, 'registers') as JsonValue, 'rax'), '42')
  t.true(host !== '' && durationMs > 0 && guestMs > 0 && guestMs <= durationMs)
  t.like(found['spin']!.value, { reason: 'timeout' })
  t.regex(String(at(found['spin']!.value, 'explain')), /time is up/)
  t.like(found['cut']!.value, { output: 'Hello', outputCutBytes: 9 })
  t.truthy(at(found['fault']!.value, 'explain'))
})

kvmTest('images, snapshots and disks are of the store', async (t) => {
  const { folder, store, options } = place(t)
  // mov al, 'A'; out 0xe9, al; hlt; mov al, 'B'; out 0xe9, al; hlt
  const image = Uint8Array.of(0xb0, 0x41, 0xe6, 0xe9, 0xf4, 0xb0, 0x42, 0xe6, 0xe9, 0xf4)
  const routes = [{ port: 0xe9, to: 'console' as const }]
  using vm = new VirtualMachine({ mode: 'long', payload: { image }, routes })
  vm.runSync()
  const file = join(folder, 'saved')
  using snapshot = vm.snapshot()
  await snapshot.save(file)
  const hash = await store.put(image)
  // mov al, 'A'; out 0xe9, al; out 0xf4, al
  const stops = await store.put(Uint8Array.of(0xb0, 0x41, 0xe6, 0xe9, 0xe6, 0xf4))
  const jobs = [
    { id: 'image', definition: { mode: 'long' as const, payload: { file: { hash } }, routes } },
    {
      id: 'disk',
      definition: {
        mode: 'long' as const,
        pc: true,
        payload: { file: { hash: stops } },
        routes: [...routes, { port: 0xf4, to: 'stop' }],
        disks: [{ file: { hash: await store.put(new Uint8Array(4096)) } }],
      },
    },
    { id: 'snapshot', snapshot: { hash: await store.putFile(file) } },
    { id: 'again', snapshot: { hash: await store.putFile(file) } },
  ]
  const found = await results(t, jobs, options)
  t.like(found['image']!.value, { reason: 'hlt', output: 'A' })
  t.like(found['disk']!.value, { reason: 'exit-port', output: 'A' })
  t.like(found['snapshot']!.value, { reason: 'hlt', output: 'B' })
  t.like(found['again']!.value, { reason: 'hlt', output: 'B' })
})

kvmTest('a snapshot that would open files of the host is refused', async (t) => {
  const { folder, store, options } = place(t)
  const disk = join(folder, 'disk')
  writeFileSync(disk, new Uint8Array(4096))
  const image = Uint8Array.of(0xf4)
  using vm = new VirtualMachine({
    mode: 'long',
    pc: true,
    payload: { image },
    disks: [{ file: disk, volatile: true }],
  })
  const file = join(folder, 'saved')
  using snapshot = vm.snapshot()
  await snapshot.save(file)
  const job = { id: 'a', snapshot: { hash: await store.putFile(file) } }
  const { status, error } = await resultOf(t, job, options)
  t.is(status, 'failed')
  t.deepEqual(error?.code, 'ERR_SNAPSHOT')
  t.regex(error!.message, /disks or network/)
})

const busybox = '/bin/busybox'
if (existsSync(busybox))
  kvmTest('native programs run in ring 3', async (t) => {
    const { store, options } = place(t)
    const hash = await store.putFile(busybox)
    const input = await store.put(new TextEncoder().encode('one\ntwo\n'))
    const path = '/bin/busybox'
    const native = { hash, path, args: ['cat', '/in', '/text'] }
    const jobs = [
      { id: 'cat', native: { ...native, files: { '/in': { hash: input }, '/text': 'three\n' } } },
      { id: 'code', native: { hash, path, args: ['sh', '-c', 'exit $N'], env: { N: '7' } } },
      { id: 'read', native: { hash, path, args: ['cat'], stdin: 'given' } },
    ]
    const found = await results(t, jobs, options)
    t.like(found['cat']!.value, { exitCode: 0, stdout: 'one\ntwo\nthree\n' })
    t.like(found['code']!.value, { exitCode: 7, reason: 'exit' })
    t.like(found['read']!.value, { stdout: 'given' })
  })
else test.skip(`native programs run in ring 3: there is no ${busybox}`, () => undefined)

test('what is wrong with a job is its failure, with the reason', async (t) => {
  const { store, options } = place(t)
  const truncated = await store.put(Uint8Array.of(0x7f, 0x45, 0x4c, 0x46, 2, 1, 1))
  const absent = `sha256-${'0'.repeat(64)}`
  const corrupt = await store.put(Uint8Array.of(1, 2, 3))
  writeFileSync(join(options.store ? (options.cache as string) : '', '../store', corrupt), 'other')
  const jobs = [
    {
      id: 'truncated',
      definition: { mode: 'long' as const, payload: { file: { hash: truncated } } },
    },
    { id: 'absent', snapshot: { hash: absent } },
    { id: 'corrupt', snapshot: { hash: corrupt } },
    { id: 'no-snapshot', snapshot: { hash: truncated } },
    { id: 'key', definition: { ...hello, colour: 'red' } },
    { id: 'module', module: 'not-there' },
    { id: 'empty', module: 'nothing' },
    { id: 'memory', definition: hello, limits: { memoryBytes: 4096 } },
    { id: 'throw', module: 'wrong', input: 'throw' },
    { id: 'strange', module: 'wrong', input: 'strange' },
    { id: 'large', module: 'wrong', input: 'large' },
    { id: 'reject', module: 'wrong', input: 'reject' },
  ]
  const expected: Record<string, [code: string, message: RegExp]> = {
    truncated: ['ERR_PAYLOAD', /payload/],
    absent: ['ERR_PAYLOAD', /has no sha256-0000/],
    corrupt: ['ERR_PAYLOAD', /what the store has as sha256-039058/],
    'no-snapshot': ['ERR_SNAPSHOT', /./],
    key: ['ERR_INVALID_OPTION', /colour is no known key/],
    module: ['ERR_INVALID_OPTION', /module 'not-there' is not installed here/],
    empty: ['ERR_HANDLER', /must have a function as its default export/],
    memory: ['ERR_LIMIT', /limits say 4096/],
    throw: ['ERR_HANDLER', /module 'wrong': thrown/],
    strange: ['ERR_HANDLER', /cannot be shown/],
    large: ['ERR_LIMIT', /16777216 characters/],
    reject: ['ERR_HANDLER', /rejected/],
  }
  const found = await results(t, jobs, options)
  for (const [id, [code, message]] of Object.entries(expected)) {
    const { status, error, attempts } = found[id]!
    t.deepEqual([status, error?.code, attempts], ['failed', code, 1], `${id}: ${error?.message}`)
    t.regex(error!.message, message)
  }
})

test('what a module returns is its value', async (t) => {
  const { options } = place(t)
  const found = await results(
    t,
    [
      { id: 'echo', module: 'echo', input: { deep: [1, null, 'x'] } },
      { id: 'none', module: 'wrong', input: 'function' },
    ],
    options,
  )
  t.like(found['echo']!.value, { input: { deep: [1, null, 'x'] } })
  t.is(found['none']!.value, null)
})

test('a poisonous job ends after its attempts, and is listed; the others are done', async (t) => {
  const { folder, options } = place(t)
  const jobs = [
    { id: 'exit', module: 'die', input: { log: join(folder, 'exit') } },
    { id: 'signal', module: 'die', input: { log: join(folder, 'signal'), signal: 'SIGSEGV' } },
    { id: 'once', module: 'once', input: { mark: join(folder, 'mark') } },
    ...Array.from({ length: 10 }, (_, index) => ({ id: `good-${index}`, module: 'echo' })),
  ]
  const found = await results(t, jobs, { ...options, attempts: 4 })
  for (const [id, how] of [
    ['exit', /it exited with 3/],
    ['signal', /SIGSEGV has ended it/],
  ] as const) {
    const { status, error, attempts } = found[id]!
    t.deepEqual([status, error?.code, attempts], ['failed', 'ERR_HANDLER', 4])
    t.regex(error!.message, how)
    const pids = readFileSync(join(folder, id), 'utf8').trim().split('\n')
    // Each attempt had a process of its own.
    t.is(new Set(pids).size, 4)
  }
  t.like(found['once'], { status: 'done', value: 'again', attempts: 2 })
  t.is(Object.values(found).filter(({ status }) => status === 'done').length, 11)
})

test('a module that does not end is ended', async (t) => {
  const { options } = place(t)
  const jobs = [
    { id: 'hang', module: 'hang', limits: { timeoutMs: 50 } },
    { id: 'echo', module: 'echo' },
  ]
  const found = await results(t, jobs, { ...options, attempts: 1 })
  t.like(found['hang'], { status: 'failed', attempts: 1 })
  t.is(found['hang']!.error?.code, 'ERR_TIMEOUT')
  t.is(found['echo']!.status, 'done')
})

kvmTest('a module has the machine, and says how far it is', async (t) => {
  const { options } = place(t)
  const said: unknown[] = []
  const job = { id: 'a', definition: hello, module: 'machine' }
  const { value, guestMs } = await resultOf(t, job, {
    ...options,
    onProgress: (progress) => progress.job && said.push(progress.job),
  })
  const once = { reason: 'hlt', outputText: 'Hello, world!\n' }
  t.deepEqual(value, [once, once])
  t.deepEqual(
    said,
    [0, 1].map((turn) => ({ id: 'a', value: turn })),
  )
  t.true(guestMs > 0)
})

test('modules store content, and share small values', async (t) => {
  const { options } = place(t)
  const jobs = ['x', 'y', 'x'].map((input, index) => ({ id: `j${index}`, module: 'store', input }))
  const found = await results(t, jobs, { ...options, concurrency: 1 })
  t.like(found['j0']!.value, { text: 'x', isNew: true, last: 'x' })
  t.like(found['j1']!.value, { text: 'y', isNew: true, last: 'y' })
  t.like(found['j2']!.value, { text: 'x', isNew: false })
  t.is((at(found['j2']!.value, 'all') as unknown[]).length, 2)
})

test('a job asks for a host that this one is not', async (t) => {
  const { options } = place(t)
  const needs = { modes: ['quantum'] }
  const { status, error } = await resultOf(t, { id: 'a', module: 'echo', needs }, options)
  t.is(status, 'failed')
  t.is(error?.code, 'ERR_KVM_CAPABILITY')
  t.regex(error!.message, /the job needs mode quantum/)
})

test('without KVM a job says so', (t) => {
  const { folder } = place(t)
  const entry = pathToFileURL(new URL('../src/index.ts', import.meta.url).pathname).href
  const script = `
    const { map } = await import(${JSON.stringify(entry)})
    const definition = ${JSON.stringify(hello)}
    const options = { cache: ${JSON.stringify(folder)}, modules: ${JSON.stringify(modules)} }
    const jobs = [{ id: 'a', definition }, { id: 'b', module: 'echo' }]
    for await (const { id, status, error } of map(jobs, options)) console.log(id, status, error?.code)
  `
  const mount = 'mount --bind /dev/null /dev/kvm && exec "$0" "$@"'
  const node = ['--import=@oxc-node/core/register', '--input-type=module', '-e', script]
  const ran = spawnSync('unshare', ['-m', 'sh', '-c', mount, process.execPath, ...node], {
    encoding: 'utf8',
  })
  if (/permitted|denied|not found|No such file|mount point/.test(ran.stderr)) {
    t.log(`skipped: nothing can be mounted here: ${ran.stderr}`)
    t.pass()
    return
  }
  const lines = ran.stdout.trim().split('\n').toSorted()
  t.deepEqual(lines, ['a failed ERR_KVM_UNAVAILABLE', 'b done undefined'])
})

for (const [option, value] of [
  ['options', null],
  ['options', 'queue'],
  ['modules', 5],
  ['cache', 5],
  ['store', 5],
  ['signal', { reason: 'none' }],
  ['onProgress', true],
  ['queue', 5],
] as const)
  test(`${option} of a wrong type is refused: ${JSON.stringify(value)}`, (t) => {
    const given: unknown = option === 'options' ? value : { [option]: value }
    const error = t.throws(() => map([], given as object), { instanceOf: VmError })
    t.is(error?.code, 'ERR_INVALID_OPTION')
    t.regex(error?.message ?? '', new RegExp(`^${option} must be .*, got `))
  })

test('options and jobs that are wrong are refused', async (t) => {
  const { options } = place(t)
  const wrong = { concurency: 2 } as object
  t.throws(() => map([], wrong), { message: /concurency is no option/ })
  t.throws(() => map([], { concurrency: 0 }), { message: /concurrency must be .*, got 0$/ })
  t.throws(() => map([], { attempts: 1.5 }), { message: /attempts must be/ })
  const collect = (jobs: unknown): Promise<unknown> => results(t, jobs as [], options)
  await t.throwsAsync(collect(7), { message: /jobs must be an iterable/ })
  await t.throwsAsync(collect('jobs'), { message: /jobs must be an iterable/ })
  await t.throwsAsync(collect([{ id: 'a' }]), { message: /one of definition, snapshot/ })
  const twice = { id: 'a', module: 'hang', limits: { timeoutMs: 60_000 } }
  await t.throwsAsync(collect([twice, twice]), { message: /two jobs have the id 'a'/ })
})
