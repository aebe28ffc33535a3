import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
} from 'node:fs'
import { join } from 'node:path'
import test from 'ava'

import { EventLog, type NewEvent } from '../src/store/index.ts'
import { temporary } from './helpers/folder.ts'

const event = (machine: string, more: object = {}): NewEvent => ({
  machine,
  uuid: '5d8c0a3e-0000-4000-8000-000000000000',
  type: 'running',
  ...more,
})
const boot = 'one'

test('events have numbers, which go on after another opening', (t) => {
  const state = temporary(t)
  const first = EventLog.open(state, { boot })
  t.is(first.lastSeq, 0)
  t.deepEqual(first.since(0), [])
  const one = first.append(event('a', { reason: 'x', at: '2026-01-01T00:00:00.000Z' }))
  t.like(one, { seq: 1, machine: 'a', type: 'running', at: '2026-01-01T00:00:00.000Z' })
  const two = first.append(event('b', { seq: 77 }))
  t.is(two.seq, 2)
  t.regex(two.at, /^\d{4}-\d\d-\d\dT.*Z$/)
  t.deepEqual(first.since(0), [one, two])
  t.deepEqual(first.since(1), [two])
  t.deepEqual(first.since(2), [])
  t.is(first.since(3), undefined)
  // A daemon that is killed closes nothing.
  const second = EventLog.open(state, { boot })
  t.is(second.lastSeq, 2)
  t.deepEqual(second.since(0), [one, two])
  t.is(second.append(event('a')).seq, 3)
  t.is(statSync(join(state, 'events.jsonl')).mode & 0o777, 0o600)
  first.close()
  second.close()
})

test('numbers are not given twice after the host was started anew', (t) => {
  const state = temporary(t)
  const first = EventLog.open(state, { boot })
  first.append(event('a'))
  first.close()
  const second = EventLog.open(state, { boot: 'two' })
  t.true(second.lastSeq > 1000)
  t.deepEqual(second.since(2), [])
  const { seq } = second.append(event('b'))
  second.close()
  const third = EventLog.open(state, { boot: 'two' })
  t.is(third.lastSeq, seq)
  t.deepEqual(
    third.since(0)!.map(({ machine }) => machine),
    ['a', 'b'],
  )
})

test('a line that is torn anywhere is dropped, and the next ones stand alone', (t) => {
  const state = temporary(t)
  const path = join(state, 'events.jsonl')
  const log = EventLog.open(state, { boot })
  for (const machine of ['a', 'b', 'ä']) log.append(event(machine))
  log.close()
  copyFileSync(path, `${path}.whole`)
  const bytes = readFileSync(path).length
  for (let length = 0; length <= bytes; length++) {
    copyFileSync(`${path}.whole`, path)
    truncateSync(path, length)
    const torn = EventLog.open(state, { boot })
    const before = torn.since(0)?.length ?? torn.lastSeq
    const { seq } = torn.append(event('next'))
    t.true(seq > before)
    torn.close()
    const after = EventLog.open(state, { boot })
    const machines = after.since(0)?.map(({ machine }) => machine) ?? []
    t.is(machines.at(-1), 'next')
    t.deepEqual(machines.slice(0, -1), ['a', 'b', 'ä'].slice(0, machines.length - 1))
    t.is(after.lastSeq, seq)
  }
})

test('files and memory are bounded', (t) => {
  const state = temporary(t)
  const options = { boot, maxBytes: 2000, maxEvents: 10 }
  const log = EventLog.open(state, options)
  for (let index = 0; index < 500; index++) log.append(event('a', { reason: 'x'.repeat(5000) }))
  for (let index = 0; index < 500; index++) log.append(event('a'))
  for (const name of ['events.jsonl', 'events.jsonl.1'])
    t.true(statSync(join(state, name)).size <= 2100)
  t.is(log.lastSeq, 1000)
  t.is(log.since(0), undefined)
  t.is(log.since(500), undefined)
  t.deepEqual(
    log.since(995)!.map(({ seq }) => seq),
    [996, 997, 998, 999, 1000],
  )
  log.close()
  const next = EventLog.open(state, options)
  t.is(next.lastSeq, 1000)
  t.deepEqual(next.since(995), log.since(995))
})

test('a disk that fails costs lines, and no event', (t) => {
  const state = join(temporary(t), 'gone')
  const log = EventLog.open(state, { boot })
  t.is(log.append(event('a')).seq, 1)
  t.regex(log.failure!.message, /ENOENT/)
  t.is(log.append(event('b')).seq, 2)
  mkdirSync(state)
  t.is(log.append(event('c')).seq, 3)
  t.is(log.failure, undefined)
  log.close()
  const next = EventLog.open(state, { boot })
  t.is(next.lastSeq, 3)
  t.deepEqual(next.since(2)!.length, 1)
  rmSync(state, { recursive: true })
  t.false(existsSync(state))
})
