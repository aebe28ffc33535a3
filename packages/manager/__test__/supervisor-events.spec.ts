import { appendFileSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

import test from 'ava'

import { until } from '../../../__test__/fixtures/until.ts'
import { kvmTest } from '../../../__test__/helpers/kvm.ts'
import { maxListeners } from '../src/supervisor/listeners.ts'
import { maxStreams } from '../src/supervisor/machine/streams.ts'
import { echoing, place, sleeper, supervise } from './helpers/supervised.ts'

test('events are numbered, told in order, and can be gone on from by any later daemon', async (t) => {
  const there = place(t)
  const first = await supervise(t, there)
  for (const name of ['a', 'b', 'c']) {
    await first.supervisor.define({ name, ...sleeper(there) }, { from: 'local' })
  }
  await first.supervisor.setAutostart('b', true)
  await first.supervisor.undefine('a')
  const told = first.events.map(({ seq, machine, type }) => `${seq} ${machine} ${type}`)
  t.deepEqual(told, ['1 a defined', '2 b defined', '3 c defined', '4 b autostart', '5 a undefined'])
  t.is(first.supervisor.lastSeq, 5)
  await first.close()

  const { supervisor } = await supervise(t, there)
  const again: string[] = []
  supervisor.onEvent(({ seq, machine, type }) => again.push(`${seq} ${machine} ${type}`), 2)
  t.deepEqual(again, told.slice(2))
  await supervisor.define({ name: 'd', ...sleeper(there) }, { from: 'local' })
  t.is(again.at(-1), '6 d defined')
  t.throws(() => supervisor.onEvent(() => {}, 7), { code: 'ERR_EVENTS_GONE' })
  for (const wrong of [-1, 1.5, Number.NaN]) {
    t.throws(() => supervisor.onEvent(() => {}, wrong), { code: 'ERR_INVALID_OPTION' })
  }
})

test('listeners end, fail and are many, and harm no other', async (t) => {
  const there = place(t)
  const { supervisor, lines, events } = await supervise(t, there)
  const counts = new Map<number, number>()
  const ends = Array.from({ length: 100 }, (_, index) =>
    supervisor.onEvent(() => counts.set(index, (counts.get(index) ?? 0) + 1)),
  )
  supervisor.onEvent(() => {
    throw new Error('a listener that fails')
  })
  await supervisor.define({ name: 'a', ...sleeper(there) }, { from: 'local' })
  t.deepEqual([...new Set(counts.values())], [1])
  t.true(lines.some((line) => line.includes('a listener that fails')))
  for (const end of ends) end()
  await supervisor.undefine('a')
  t.deepEqual([...new Set(counts.values())], [1])
  t.is(events.length, 2)
  while (supervisor.counts()['listeners']! < maxListeners) supervisor.onEvent(() => {})
  t.throws(() => supervisor.onEvent(() => {}), { code: 'ERR_LIMIT' })
})

test('a definition that is broken is told, left as it is, and stops nobody', async (t) => {
  const there = place(t)
  const first = await supervise(t, there)
  await first.supervisor.define({ name: 'good', ...sleeper(there) }, { from: 'local' })
  await first.supervisor.define({ name: 'torn', ...sleeper(there) }, { from: 'local' })
  await first.close()
  const path = join(there.state, 'machines', 'torn', 'machine.json')
  writeFileSync(path, '{ "version": 1, "na')
  const { supervisor, store } = await supervise(t, there)
  t.deepEqual(
    supervisor.list().map(({ name }) => name),
    ['good'],
  )
  t.like(store.problems[0], { name: 'torn', path })
  t.is(readFileSync(path, 'utf8'), '{ "version": 1, "na')
  const again = supervisor.define({ name: 'torn', ...sleeper(there) }, { from: 'local' })
  await t.throwsAsync(again, { code: 'ERR_STORE', message: /torn/ })
})

test('a record of the last run that is broken is as if there were none', async (t) => {
  const there = place(t)
  const first = await supervise(t, there)
  await first.supervisor.define({ name: 'web', ...sleeper(there) }, { from: 'local' })
  await first.close()
  for (const text of ['', '{', '[]', '{"state":7}', '{"state":"defined","id":"x"}']) {
    writeFileSync(join(there.state, 'machines', 'web', 'last.json'), text)
    mkdirSync(join(there.runtime, 'web'), { recursive: true })
    appendFileSync(join(there.runtime, 'web', 'pid'), text)
    const { supervisor, close } = await supervise(t, there)
    t.is(supervisor.find('web').state, 'defined', text)
    await close()
    rmSync(join(there.runtime, 'web'), { recursive: true })
  }
})

test('names, UUIDs and modules are checked at define', async (t) => {
  const there = place(t)
  const { supervisor } = await supervise(t, there)
  const base = sleeper(there)
  const web = await supervisor.define({ name: 'web', ...base }, { from: 'local', xml: '<a/>' })
  const code = (promise: Promise<unknown>): Promise<string> =>
    promise.then(
      () => '',
      (error: { code: string }) => error.code,
    )
  const other = '0f0e0d0c-0000-4000-8000-000000000001'
  t.is(await code(supervisor.define(base, { from: 'local' })), 'ERR_INVALID_OPTION')
  t.is(
    await code(supervisor.define({ name: 'a/b', ...base }, { from: 'local' })),
    'ERR_INVALID_OPTION',
  )
  t.is(
    await code(supervisor.define({ name: 'web', ...base }, { from: 'local', uuid: other })),
    'ERR_EXISTS',
  )
  t.is(
    await code(supervisor.define({ name: 'new', ...base }, { from: 'local', uuid: web.uuid })),
    'ERR_EXISTS',
  )
  const module = { name: 'mod', ...base, module: '/srv/devices.mjs' }
  for (const from of ['xml', 'tcp'] as const) {
    t.is(await code(supervisor.define(module, { from })), 'ERR_FORBIDDEN')
  }
  t.is((await supervisor.define(module, { from: 'local' })).definition.module, '/srv/devices.mjs')
  const again = await supervisor.define(
    { name: 'web', ...base, memoryBytes: 2 ** 21 },
    { from: 'xml' },
  )
  t.like(again, { uuid: web.uuid, xml: '<a/>', definition: { memoryBytes: 2 ** 21 } })
  t.is((await supervisor.define({ name: 'web', ...base }, { from: 'xml', xml: '' })).xml, undefined)
  t.is(supervisor.find(web.uuid.toUpperCase()).name, 'web')
  t.throws(() => supervisor.find('../web'), { code: 'ERR_NOT_FOUND' })
})

kvmTest('consoles of a machine are many and bounded, and end with it', async (t) => {
  const there = place(t)
  const { supervisor } = await supervise(t, there)
  await supervisor.define({ name: 'web', ...echoing(there) }, { from: 'local' })
  await supervisor.start('web')
  const opened = await Promise.allSettled(
    Array.from({ length: maxStreams }, () => supervisor.console('web')),
  )
  const streams = opened.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []))
  t.is(streams.length, maxStreams)
  await t.throwsAsync(supervisor.console('web'), { code: 'ERR_LIMIT' })
  let ended = 0
  for (const stream of streams) stream.resume().once('close', () => ended++)
  await supervisor.kill('web')
  t.true(await until(() => ended === maxStreams))
  t.is(supervisor.counts()['streams'], 0)
  await t.throwsAsync(supervisor.screen('web'), { code: 'ERR_STATE' })
})
