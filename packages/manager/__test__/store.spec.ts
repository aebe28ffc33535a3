import { spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  chmodSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'

import { newUuid } from '../src/definition/index.ts'
import {
  ConsoleLog,
  type MachineRecord,
  type Store,
  identify,
  isAlive,
  openStore,
} from '../src/store/index.ts'
import { rejects } from './helpers/errors.ts'
import { temporary } from './helpers/folder.ts'

const record = (name: string, more: Partial<MachineRecord> = {}): MachineRecord => ({
  version: 1,
  name,
  uuid: newUuid(),
  autostart: false,
  persistent: true,
  definition: { name, payload: { guest: 'hello' } },
  ...more,
})

const opened = async (t: ExecutionContext, state: string): Promise<Store> => {
  const store = await openStore(state)
  t.teardown(() => store.close())
  return store
}

test('what is saved is there after another opening, for this user only', async (t) => {
  const state = join(temporary(t), 'deep', 'state')
  const first = await opened(t, state)
  const [b, a] = [record('b', { autostart: true, xml: '<x/>' }), record('a')]
  await first.save(b)
  await first.save(a)
  t.deepEqual(first.machines(), [a, b])
  await first.close()
  const second = await opened(t, state)
  t.deepEqual(second.machines(), [a, b])
  t.deepEqual(second.machine('b'), b)
  t.deepEqual(second.problems, [])
  const modes = [state, join(state, 'machines/a'), join(state, 'machines/a/machine.json')]
  t.deepEqual(
    modes.map((path) => statSync(path).mode & 0o777),
    [0o700, 0o700, 0o600],
  )
  t.deepEqual(readdirSync(join(state, 'machines/a')), ['machine.json'])
})

test('a machine is removed with all that is in its folder', async (t) => {
  const state = temporary(t)
  const store = await opened(t, state)
  await store.save(record('a'))
  writeFileSync(join(store.folder('a'), 'console.log'), 'text')
  await store.remove('a')
  t.is(store.machine('a'), undefined)
  t.deepEqual(readdirSync(join(state, 'machines')), [])
  await t.notThrowsAsync(store.remove('a'))
})

test('a broken machine.json is a problem that says what to do, and is not written over', async (t) => {
  const state = temporary(t)
  const first = await opened(t, state)
  for (const name of ['good', 'torn', 'newer', 'wrong', 'moved', 'twin', 'gone'])
    await first.save(record(name))
  await first.close()
  const file = (name: string): string => join(state, 'machines', name, 'machine.json')
  const change = (name: string, more: object): void => {
    const value = JSON.parse(readFileSync(file(name), 'utf8')) as object
    writeFileSync(file(name), JSON.stringify({ ...value, ...more }))
  }
  writeFileSync(file('torn'), '{"version": 1, "na')
  change('newer', { version: 2 })
  change('wrong', { definition: { name: 'wrong', payload: { guest: 'hello' }, vcpu: 2 } })
  renameSync(join(state, 'machines/moved'), join(state, 'machines/other'))
  change('twin', { uuid: (JSON.parse(readFileSync(file('good'), 'utf8')) as MachineRecord).uuid })
  rmSync(file('gone'))
  writeFileSync(join(state, 'machines/gone/console.log'), 'text')
  writeFileSync(join(state, 'machines/file'), '')
  mkdirSync(join(state, 'machines/no name'))

  const store = await opened(t, state)
  t.deepEqual(
    store.machines().map(({ name }) => name),
    ['good'],
  )
  const reasons = new Map(store.problems.map(({ name, reason }) => [name, reason]))
  t.deepEqual([...reasons.keys()].toSorted(), [
    'file',
    'gone',
    'newer',
    'no name',
    'other',
    'torn',
    'twin',
    'wrong',
  ])
  t.regex(reasons.get('torn')!, /JSON/)
  t.regex(reasons.get('newer')!, /version/)
  t.regex(reasons.get('wrong')!, /definition has no key "vcpu"; did you mean vcpus\?/)
  t.regex(reasons.get('other')!, /name/)
  t.regex(reasons.get('twin')!, /uuid is that of good/)
  t.regex(reasons.get('gone')!, /not there/)
  for (const { path, remedy } of store.problems) {
    t.true(path.startsWith(join(state, 'machines')))
    t.regex(remedy, /mend it, or move .* away, and start the daemon again/)
  }

  const before = readFileSync(file('torn'))
  const { message } = await rejects(t, 'ERR_STORE', () => store.save(record('torn')))
  t.true(message.includes(file('torn')) && message.includes('move'), message)
  t.deepEqual(readFileSync(file('torn')), before)
  // It may be moved away while the daemon runs, and removed on purpose.
  renameSync(join(state, 'machines/torn'), join(state, 'torn'))
  await store.save(record('torn'))
  await store.remove('newer')
  await store.save(record('newer'))
  t.false(store.problems.some(({ name }) => name === 'torn' || name === 'newer'))
})

test('a second daemon of a state directory is refused, and named', async (t) => {
  const state = temporary(t)
  const first = await opened(t, state)
  const { message } = await rejects(t, 'ERR_DAEMON', () => openStore(state))
  t.true(message.includes(`process ID ${process.pid}`), message)
  t.true(message.includes('--state'), message)
  await first.close()
  await t.notThrowsAsync(opened(t, state))
})

test('the lock of a process that is gone is taken over, also by one of many only', async (t) => {
  const state = temporary(t)
  const child = spawn('sleep', ['100'])
  t.teardown(() => child.kill('SIGKILL'))
  const { pid, startTime } = identify(child.pid)!
  await (await openStore(state)).close()
  const take = (content: string): void => {
    const last = Math.max(...readdirSync(join(state, 'lock')).map(Number))
    symlinkSync(content, join(state, 'lock', `${last + 1}`))
  }
  take(`${pid}-${startTime}`)
  t.regex((await rejects(t, 'ERR_DAEMON', () => openStore(state))).message, new RegExp(`${pid}`))
  child.kill('SIGKILL')
  await once(child, 'exit')
  t.false(isAlive({ pid, startTime }))
  const many = await Promise.allSettled(Array.from({ length: 20 }, () => openStore(state)))
  const stores = many.filter((each) => each.status === 'fulfilled')
  t.is(stores.length, 1)
  await stores[0]!.value.close()
  // The number of a process may be another's by now.
  for (const content of [`${process.pid}-1`, `${2 ** 30}-1`, 'released', '-', 'x'.repeat(300)]) {
    take(content)
    await (await openStore(state)).close()
  }
  t.is(readdirSync(join(state, 'lock')).length, 1)
})

test('what a loss of power has left over is removed', async (t) => {
  const state = temporary(t)
  const first = await opened(t, state)
  await first.save(record('a'))
  await first.close()
  const machines = join(state, 'machines')
  writeFileSync(join(machines, 'a/machine.json.new'), '{"ver')
  writeFileSync(join(machines, 'a/last.json.new'), '')
  mkdirSync(join(machines, 'empty'))
  mkdirSync(join(machines, '.old-b/snapshots/x'), { recursive: true })
  mkdirSync(join(machines, 'a/snapshots/.new-x'), { recursive: true })
  mkdirSync(join(machines, 'a/.new-saved'), { recursive: true })
  const store = await opened(t, state)
  t.deepEqual(store.problems, [])
  t.deepEqual(readdirSync(machines), ['a'])
  t.deepEqual(readdirSync(join(machines, 'a')).toSorted(), ['machine.json', 'snapshots'])
  t.deepEqual(readdirSync(join(machines, 'a/snapshots')), [])
})

test('a snapshot is there when it is whole', async (t) => {
  const store = await opened(t, temporary(t))
  await store.save(record('a'))
  const snapshots = store.snapshots('a')
  t.deepEqual(await snapshots.list(), [])
  const draft = await snapshots.begin('one')
  writeFileSync(join(draft.folder, 'memory.vmexit'), 'memory')
  writeFileSync(join(draft.folder, 'disk0.img'), 'disk')
  t.deepEqual(await snapshots.list(), [])
  await rejects(t, 'ERR_NOT_FOUND', () => snapshots.find('one'))
  await rejects(t, 'ERR_STATE', () => snapshots.begin('one'))
  const view = await draft.commit({ state: 'paused', description: 'before' })
  t.like(view, { name: 'one', bytes: 10, state: 'paused', description: 'before' })
  const other = await snapshots.begin('two')
  await other.commit({ state: 'running' })
  const dropped = await snapshots.begin('three')
  await dropped.discard()
  t.deepEqual(
    (await snapshots.list()).map(({ name }) => name),
    ['one', 'two'],
  )
  const { folder } = await snapshots.find('one')
  t.is(readFileSync(join(folder, 'memory.vmexit'), 'utf8'), 'memory')
  t.deepEqual((await snapshots.find('one')).view, view)
  await rejects(t, 'ERR_EXISTS', () => snapshots.begin('one'))
  await snapshots.remove('one')
  await rejects(t, 'ERR_NOT_FOUND', () => snapshots.remove('one'))
  for (const name of ['../a', '.', '..', '', 'a/b', 'a\0', '.new-x', 'x'.repeat(64)])
    for (const call of [
      () => snapshots.begin(name),
      () => snapshots.remove(name),
      () => snapshots.find(name),
    ])
      await rejects(t, 'ERR_INVALID_OPTION', call)
})

test('a machine has 256 snapshots at most, and none is begun that would be one more', async (t) => {
  const store = await opened(t, temporary(t))
  await store.save(record('a'))
  const folder = join(store.folder('a'), 'snapshots')
  for (let index = 0; index < 256; index++)
    mkdirSync(join(folder, `s${index}`), { recursive: true })
  const { message } = await rejects(t, 'ERR_LIMIT', () => store.snapshots('a').begin('more'))
  t.regex(message, /at most 256 snapshots: remove others first/)
  // They are broken, and can be removed all the same.
  t.deepEqual(await store.snapshots('a').list(), [])
  await rejects(t, 'ERR_SNAPSHOT', () => store.snapshots('a').find('s0'))
  await store.snapshots('a').remove('s0')
  await (await store.snapshots('a').begin('more')).discard()
})

test('a saved state takes the place of the one before', async (t) => {
  const store = await opened(t, temporary(t))
  await store.save(record('a'))
  const snapshots = store.snapshots('a')
  t.is(await snapshots.saved(), undefined)
  for (const text of ['first', 'second']) {
    const draft = await snapshots.beginSaved()
    writeFileSync(join(draft.folder, 'memory.vmexit'), text)
    await draft.commit({ state: 'running' })
    t.is(readFileSync(join((await snapshots.saved())!, 'memory.vmexit'), 'utf8'), text)
  }
  await snapshots.removeSaved()
  await snapshots.removeSaved()
  t.is(await snapshots.saved(), undefined)
  t.deepEqual(readdirSync(store.folder('a')), ['machine.json'])
})

test('names that would lead elsewhere lead nowhere', async (t) => {
  const folder = temporary(t)
  const state = join(folder, 'state')
  const store = await opened(t, state)
  for (const name of [
    '../x',
    '.',
    '..',
    '',
    'a/b',
    'a\0b',
    'x'.repeat(64),
    '__proto__',
    '.old-a',
  ]) {
    t.throws(() => store.folder(name), { code: 'ERR_INVALID_OPTION' })
    await rejects(t, 'ERR_INVALID_OPTION', () => store.save(record(name)))
    await rejects(t, 'ERR_INVALID_OPTION', () => store.remove(name))
  }
  for (const name of ['constructor', 'toString', 'x'.repeat(63), '0']) {
    t.is(store.machine(name), undefined)
    await store.save(record(name))
    t.is(store.machine(name)?.name, name)
  }
  t.deepEqual(readdirSync(state).toSorted(), ['lock', 'machines'])
  t.deepEqual(readdirSync(folder), ['state'])
})

test('many savings at once of one machine end with the last one', async (t) => {
  const state = temporary(t)
  const store = await opened(t, state)
  const records = Array.from({ length: 50 }, () => record('a'))
  await Promise.all(records.map((each) => store.save(each)))
  t.deepEqual(store.machine('a'), records.at(-1))
  await store.close()
  t.deepEqual((await opened(t, state)).machines(), [records.at(-1)])
})

test('a state directory that others may write is refused', async (t) => {
  const state = join(temporary(t), 'state')
  mkdirSync(state)
  chmodSync(state, 0o777)
  const { message } = await rejects(t, 'ERR_FORBIDDEN', () => openStore(state))
  t.true(message.includes('0777') && message.includes('chmod 0700'), message)
})

test.serial('many machines, snapshots and events later the store holds no more', async (t) => {
  const store = await opened(t, temporary(t))
  const files = (): number => readdirSync('/proc/self/fd').length
  const cycle = async (index: number): Promise<void> => {
    const name = `m${index}`
    await store.save(record(name))
    const log = await ConsoleLog.open(store.folder(name))
    log.write(Buffer.from('text'))
    await log.close()
    t.is((await store.console(name)).length, 4)
    const draft = await store.snapshots(name).begin('one')
    await draft.commit({ state: 'paused' })
    store.events.append({ machine: name, uuid: newUuid(), type: 'defined' })
    await store.remove(name)
  }
  await cycle(0)
  const before = files()
  for (let index = 1; index <= 100; index++) await cycle(index)
  t.is(files(), before)
  t.deepEqual(readdirSync(join(store.state, 'machines')), [])
})
