// The manager's verbs as users call them, beside a real daemon and real machines.
import { execFileSync } from 'node:child_process'
import {
  closeSync,
  constants,
  lstatSync,
  openSync,
  readFileSync,
  readSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'

import test from 'ava'

import { until } from '../../../__test__/fixtures/until.ts'
import { vmexit } from '../../../__test__/helpers/cli.ts'
import { kvmTest } from '../../../__test__/helpers/kvm.ts'
import { Bench } from './helpers/command.ts'
import { machine } from './helpers/guests.ts'

const sorted = (document: any): string[] =>
  document.machines.map(({ name }: any) => name).toSorted()

test('without a daemon every verb says how to start one', async (t) => {
  const bench = new Bench(t)
  const project = bench.file('vmexit.json', { machines: { a: { payload: { guest: 'hello' } } } })
  const lines = [
    ...['ps', 'events', 'stats'].map((verb) => [verb]),
    ...['start', 'stop', 'kill', 'reset', 'pause', 'resume'].map((verb) => [verb, 'a']),
    ...['undefine', 'attach', 'logs'].map((verb) => [verb, 'a']),
    ['define', bench.file('a.json', { name: 'a', payload: { guest: 'hello' } })],
    ...[
      ['screen', 'a', '--png', join(bench.folder, 'a.png')],
      ['up', project],
      ['down', project],
    ],
    ['snapshot', 'list', 'a'],
  ]
  for (const line of lines) {
    const { code, stdout, stderr } = await bench.run(line)
    t.deepEqual([code, stdout.toString()], [1, ''], line.join(' '))
    t.regex(stderr, /vmexit daemon/, line.join(' '))
    t.true(stderr.includes(bench.runtime), stderr)
  }
  const [code, { error }] = await bench.json(['ps'])
  t.is(code, 1)
  t.regex(error.message, /vmexit daemon/)
})

test('the daemon says where it is, ends when it is asked, and is alone', async (t) => {
  const bench = new Bench(t)
  const { pid, api, libvirt } = await bench.startDaemon()
  t.deepEqual([api, libvirt], [bench.socket, join(bench.runtime, 'libvirt.sock')])
  t.is(typeof pid, 'number')
  t.deepEqual([statSync(bench.runtime).mode & 0o777, statSync(api).mode & 0o777], [0o700, 0o600])
  const second = await vmexit(['daemon', '--state', bench.state, '--runtime', bench.runtime])
  t.is(second.code, 1)
  t.true(second.stderr.includes(pid.toString()), second.stderr)
  // It did no harm to the first.
  t.deepEqual(await bench.json(['ps']), [0, { machines: [] }])
  t.is(await bench.endDaemon('SIGINT'), 0)
  t.throws(() => statSync(api), { code: 'ENOENT' })
})

test('--socket, VMEXIT_SOCKET and --runtime lead to a daemon', async (t) => {
  const bench = new Bench(t)
  await bench.startDaemon()
  const env = { VMEXIT_SOCKET: bench.socket }
  t.is((await vmexit(['ps', '--socket', bench.socket])).code, 0)
  t.is((await vmexit(['ps'], { env })).code, 0)
  t.is((await vmexit(['ps'], { env: { VMEXIT_SOCKET: '', XDG_RUNTIME_DIR: '/nowhere' } })).code, 1)
  // What is said on the line counts.
  t.is((await vmexit(['ps', '--runtime', '/nowhere'], { env })).code, 1)
})

test('define stores a file or stdin, ps lists it, undefine forgets it', async (t) => {
  const bench = new Bench(t)
  await bench.startDaemon()
  t.regex((await bench.run(['ps'])).stderr, /no machines; `vmexit define FILE`/)
  const file = bench.file('one.json', { name: 'one', mode: 'long', payload: { file: 'one.bin' } })
  const [, { machines }] = await bench.json(['define', file])
  t.like(machines[0], { name: 'one', state: 'defined' })
  t.regex(machines[0].uuid, /^[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}$/)
  const stored = JSON.parse(readFileSync(join(bench.state, 'machines/one/machine.json'), 'utf8'))
  t.is(stored.definition.payload.file, join(bench.folder, 'one.bin'))
  const text = JSON.stringify({ mode: 'long', payload: { guest: 'hello' } })
  const ran = await bench.run(['define', '-', '--name', 'two'], text)
  t.deepEqual([ran.code, ran.stdout.toString()], [0, 'two is defined\n'])
  t.deepEqual(await bench.states(), { one: 'defined', two: 'defined' })
  t.is(await bench.done('ps', '--quiet'), 'one\ntwo\n')
  t.regex(await bench.done('ps'), /^NAME +STATE +PID +STARTED\none +defined +- +-\ntwo /)
  t.is(await bench.done('undefine', 'one', 'two'), 'one is undefined\ntwo is undefined\n')
  t.deepEqual(await bench.states(), {})
})

const refused: [args: string[], input: string, code: number, message: RegExp][] = [
  [['define', '-'], '{', 2, /stdin is no JSON/],
  [['define', '-'], '{ "payload": { "guest": "hello" } }', 2, /name/],
  [['define', '-', '--name', '../a'], '{ "payload": { "guest": "hello" } }', 2, /name/],
  [['define', '-', '--name', 'a'], '{ "payload": {}, "vcpu": 1 }', 2, /vcpu/],
  [['define', '/not/there.json'], '', 2, /cannot read \/not\/there\.json/],
  [['start', 'nobody'], '', 1, /ERR_NOT_FOUND/],
  [['stats', 'nobody'], '', 1, /ERR_NOT_FOUND/],
  [['logs', 'nobody'], '', 1, /ERR_NOT_FOUND/],
  [['attach', 'nobody'], '', 1, /ERR_NOT_FOUND/],
  [['undefine', 'a\u001B[2Jb'], '', 2, /a\uFFFD\[2Jb: ERR_/],
]

test('what the daemon refuses is an exit code and a sentence', async (t) => {
  const bench = new Bench(t)
  await bench.startDaemon()
  for (const [args, input, code, message] of refused) {
    const ran = await bench.run(args, input)
    t.is(ran.code, code, `${args.join(' ')}: ${ran.stderr}`)
    t.regex(ran.stderr, message)
    t.is(ran.stdout.length, 0)
    t.notRegex(ran.stderr, /\n {4}at /, 'no stack')
  }
})

kvmTest('a machine is started, paused, resumed, reset, stopped and killed', async (t) => {
  const bench = new Bench(t)
  await bench.startDaemon()
  await bench.done('define', bench.file('a.json', machine('a')))
  const [code, { machines }] = await bench.json(['start', 'a'])
  t.is(code, 0)
  t.like(machines[0], { name: 'a', state: 'running' })
  const [, { machines: listed }] = await bench.json(['ps'])
  t.deepEqual(listed[0].pid, machines[0].pid)
  process.kill(listed[0].pid, 0)
  t.false(Number.isNaN(Date.parse(listed[0].startedAt)))
  t.is((await bench.run(['start', 'a'])).code, 1)
  t.regex(await bench.done('pause', 'a'), /^a is paused/)
  t.regex(await bench.done('resume', 'a'), /^a is running \(pid \d+\)\n$/)
  t.regex(await bench.done('reset', 'a'), /^a is running/)
  t.is((await bench.run(['undefine', 'a'])).code, 1)
  // This guest knows of no power button.
  const [stopped, after] = await bench.json(['stop', 'a', '-t', '0.2'])
  t.is(stopped, 0)
  t.is(after.machines[0].state, 'ended')
  t.is(after.machines[0].pid, undefined)
  t.regex(await bench.done('start', 'a', '--paused'), /^a is paused/)
  t.regex(await bench.done('kill', 'a'), /^a is ended/)
  t.is((await bench.run(['kill', 'a'])).code, 1)
})

kvmTest('of several machines all are tried, and the first failure is the exit code', async (t) => {
  const bench = new Bench(t)
  await bench.startDaemon()
  for (const name of ['a', 'b'])
    await bench.done('define', bench.file(`${name}.json`, machine(name)))
  const [code, started] = await bench.json(['start', 'a', 'nobody', 'b', 'a'])
  t.is(code, 1)
  t.deepEqual(sorted(started), ['a', 'b'])
  t.is(started.error.code, 'ERR_NOT_FOUND')
  t.deepEqual(
    started.errors.map((error: any) => error.machine),
    ['nobody'],
  )
  t.deepEqual(await bench.states(), { a: 'running', b: 'running' })
  const { code: failed, stdout, stderr } = await bench.run(['kill', 'nobody', 'a', 'b'])
  t.is(failed, 1)
  t.deepEqual(stdout.toString().trim().split('\n').toSorted().length, 2)
  t.regex(stderr, /^vmexit: nobody: ERR_NOT_FOUND: /)
})

kvmTest('a machine outlives its daemon, and the next one takes it up', async (t) => {
  const bench = new Bench(t)
  await bench.startDaemon()
  await bench.done('define', bench.file('a.json', machine('a', 'echo')))
  await bench.done('start', 'a')
  t.true(await bench.says('a', 'ok'))
  const [, before] = await bench.json(['ps'])
  t.is(await bench.endDaemon('SIGKILL'), 'SIGKILL')
  process.kill(before.machines[0].pid, 0)
  await bench.startDaemon()
  const [, after] = await bench.json(['ps'])
  t.deepEqual(after, before)
  t.regex(await bench.done('logs', 'a'), /^ok/)
  await bench.done('kill', 'a')
})

kvmTest('up defines and starts what a project file says, as often as one likes', async (t) => {
  const bench = new Bench(t)
  await bench.startDaemon()
  const project = (more: object = {}): string =>
    bench.file('vmexit.json', { machines: [machine('a', 'wait', more), machine('b')] })
  const [code, first] = await bench.json(['up', project()])
  t.is(code, 0)
  t.deepEqual(sorted(first), ['a', 'b'])
  const [, again] = await bench.json(['up', project()])
  t.deepEqual(again, first)
  const changed = await bench.run(['up', project({ vcpus: 2 })])
  t.is(changed.code, 0)
  t.regex(changed.stderr, /a runs; what has changed applies from its next start on/)
  await bench.done('kill', 'b')
  await bench.done('up', project({ vcpus: 2 }))
  t.deepEqual(await bench.states(), { a: 'running', b: 'running' })
  const [down, ended] = await bench.json(['down', project(), '-t', '0'])
  t.is(down, 0)
  t.deepEqual(
    ended.machines.map(({ state }: any) => state),
    ['ended', 'ended'],
  )
  t.deepEqual(await bench.json(['down', project()]), [0, ended])
  await bench.done('down', project(), '--undefine')
  t.deepEqual(await bench.states(), {})
  t.deepEqual(await bench.json(['down', project()]), [0, { machines: [] }])
})

test('up starts nothing of a project with a mistake', async (t) => {
  const bench = new Bench(t)
  await bench.startDaemon()
  const bad = bench.file('bad.json', { machines: [machine('a'), { name: 'b', payload: {} }] })
  const { code, stderr } = await bench.run(['up', bad])
  t.is(code, 2)
  t.regex(stderr, /payload/)
  t.false(Object.values(await bench.states()).includes('running'))
  t.is((await bench.run(['up', '/not/there.json'])).code, 2)
})

kvmTest('events tells what happened, from a number on, and goes on', async (t) => {
  const bench = new Bench(t)
  await bench.startDaemon()
  await bench.done('define', bench.file('a.json', machine('a')))
  const follower = bench.spawn(['events', '-f', '--json', '--since', '0', '--socket', bench.socket])
  await bench.done('start', 'a')
  await bench.done('kill', 'a')
  const [, { events }] = await bench.json(['events'])
  const types = events.map(({ type }: any) => type)
  t.deepEqual(types.slice(0, 3), ['defined', 'starting', 'running'])
  t.true(types.includes('ended'))
  t.deepEqual(
    events.map(({ seq }: any) => seq),
    events.map((_: unknown, at: number) => events[0].seq + at),
  )
  const [, rest] = await bench.json(['events', '--since', String(events[1].seq)])
  t.deepEqual(rest.events, events.slice(2))
  const lines = (): string[] => follower.said.stdout.trim().split('\n')
  t.true(await until(() => lines().length >= events.length))
  t.deepEqual(
    lines().map((line) => JSON.parse(line)),
    events,
  )
  follower.child.kill('SIGINT')
  t.true(await until(() => follower.child.exitCode !== null || follower.child.signalCode !== null))
  t.deepEqual(await bench.json(['events', 'nobody']), [0, { events: [] }])
  t.regex(await bench.done('events', 'a'), /^ +\d+  \S+  a  defined\n/)
})

kvmTest('stats tells exits by reason, of those that run or are named', async (t) => {
  const bench = new Bench(t)
  await bench.startDaemon()
  t.deepEqual(await bench.json(['stats']), [0, { machines: [] }])
  await bench.done('define', bench.file('a.json', machine('a')))
  await bench.done('start', 'a')
  t.true(await bench.says('a', 'ok'))
  const [, { machines }] = await bench.json(['stats'])
  t.like(machines[0], { name: 'a', vcpus: 1 })
  t.true(machines[0].exits > 0 && machines[0].rssBytes > 0)
  t.regex(await bench.done('stats', 'a'), /^NAME .*BY REASON\na +1 +16\.0M .*pio-out \d+/)
  await bench.done('kill', 'a')
})

kvmTest('a state is saved, listed, restored and removed by its name', async (t) => {
  const bench = new Bench(t)
  await bench.startDaemon()
  await bench.done('define', bench.file('a.json', machine('a')))
  await bench.done('start', 'a')
  const [code, saved] = await bench.json(['snapshot', 'save', 'a', 'fresh', '--description', 'new'])
  t.is(code, 0)
  t.like(saved.snapshots[0], { name: 'fresh', description: 'new', state: 'running' })
  t.deepEqual(await bench.json(['snapshot', 'list', 'a']), [0, saved])
  t.regex(await bench.done('snapshot', 'list', 'a'), /^NAME .*\nfresh +.* running +new\n/)
  await bench.done('kill', 'a')
  t.regex(await bench.done('snapshot', 'restore', 'a', 'fresh'), /^a is running/)
  t.is((await bench.run(['snapshot', 'restore', 'a', 'nothing'])).code, 1)
  await bench.done('snapshot', 'rm', 'a', 'fresh')
  t.deepEqual(await bench.json(['snapshot', 'list', 'a']), [0, { snapshots: [] }])
  await bench.done('kill', 'a')
})

kvmTest('screen writes a picture, and a failure leaves none', async (t) => {
  const bench = new Bench(t)
  await bench.startDaemon()
  await bench.done('define', bench.file('a.json', machine('a', 'wait', { screen: 'text' })))
  const file = join(bench.folder, 'a.png')
  t.is((await bench.run(['screen', 'a', '--png', file])).code, 1)
  t.throws(() => statSync(file), { code: 'ENOENT' })
  await bench.done('start', 'a')
  const [, document] = await bench.json(['screen', 'a', '--png', file])
  const bytes = readFileSync(file)
  t.deepEqual(document, { file, bytes: bytes.length })
  t.is(bytes.subarray(1, 4).toString(), 'PNG')
  const { stdout } = await bench.run(['screen', 'a', '--png', '-'])
  t.deepEqual(stdout, bytes)
  t.is((await bench.run(['screen', 'a', '--png', '/not/there/a.png'])).code, 2)
  const below = await bench.run(['screen', 'a', '--png', join(file, 'a.png')])
  t.is(below.code, 2, String(below.stderr))
  // A link leads to the picture, and a pipe stays one.
  const link = join(bench.folder, 'link.png')
  writeFileSync(file, '')
  symlinkSync(file, link)
  await bench.done('screen', 'a', '--png', link)
  t.true(lstatSync(link).isSymbolicLink())
  t.deepEqual(readFileSync(file), bytes)
  const pipe = join(bench.folder, 'pipe')
  execFileSync('mkfifo', [pipe])
  const reader = openSync(pipe, constants.O_RDWR | constants.O_NONBLOCK)
  t.teardown(() => closeSync(reader))
  await bench.done('screen', 'a', '--png', pipe)
  t.true(lstatSync(pipe).isFIFO())
  const piped = Buffer.alloc(bytes.length + 1)
  t.is(readSync(reader, piped), bytes.length)
  t.deepEqual(piped.subarray(0, -1), bytes)
  await bench.done('kill', 'a')
})
