// Lines of JSON over a stream: what a peer asks, answers, tells, and refuses to keep.
import { setTimeout as sleep } from 'node:timers/promises'

import test from 'ava'

import { until } from '../../../__test__/fixtures/until.ts'
import { duplexPair } from './fixtures/duplex-pair.ts'
import { Peer, type WireEvent, endState, maxLineBytes } from '../src/wire/index.ts'
import { maxAsked, maxServed } from '../src/wire/peer.ts'
import { Lines } from '../src/wire/lines.ts'

const cable = duplexPair

test('requests are answered in whatever order, both ways at the same time', async (t) => {
  const [a, b] = cable()
  const left = new Peer(a, { answer: (method) => ({ by: 'left', method }) })
  const right = new Peer(b, {
    answer: async (method, { ms }) => {
      await sleep(Number(ms))
      return { by: 'right', method }
    },
  })
  const [slow, fast, back] = await Promise.all([
    left.request('slow', { ms: 20 }),
    left.request('fast', { ms: 0 }),
    right.request('back'),
  ])
  t.deepEqual(slow, { by: 'right', method: 'slow' })
  t.deepEqual(fast, { by: 'right', method: 'fast' })
  t.deepEqual(back, { by: 'left', method: 'back' })
  left.close()
  await right.closed
})

test('an error keeps its code and message; what has no code is internal', async (t) => {
  const [a, b] = cable()
  const left = new Peer(a)
  void new Peer(b, {
    answer: (method) => {
      throw Object.assign(
        new Error(`no ${method}`),
        method === 'plain' ? {} : { code: 'ERR_STATE' },
      )
    },
  })
  await t.throwsAsync(left.request('tape'), { code: 'ERR_STATE', message: 'no tape' })
  await t.throwsAsync(left.request('plain'), { code: 'ERR_INTERNAL', message: 'no plain' })
  left.close()
})

test('events reach the other side; without an answerer a request is refused', async (t) => {
  const [a, b] = cable()
  const heard: WireEvent[] = []
  const left = new Peer(a)
  const right = new Peer(b, { onEvent: (event) => heard.push(event) })
  left.emit({ event: 'paused' })
  await t.throwsAsync(left.request('status'), { code: 'ERR_NOT_SUPPORTED' })
  t.deepEqual(heard, [{ event: 'paused' }])
  right.close()
  await left.closed
  await t.throwsAsync(left.request('status'), { code: 'ERR_MACHINE' })
})

test('what is not answered in time, or by one who is gone, is rejected', async (t) => {
  const [a, b] = cable()
  const left = new Peer(a)
  const right = new Peer(b, { answer: () => new Promise(() => undefined) })
  await t.throwsAsync(left.request('never', {}, 5), { code: 'ERR_TIMEOUT', message: /never/ })
  const waits = left.request('never')
  right.close()
  await t.throwsAsync(waits, { code: 'ERR_MACHINE' })
  t.is(left.waiting, 0)
})

test('requests are bounded on both sides', async (t) => {
  const [a, b] = cable()
  let [served, most] = [0, 0]
  let release: () => void = () => undefined
  const gate = new Promise<void>((resolve) => (release = resolve))
  const left = new Peer(a)
  void new Peer(b, {
    answer: async () => {
      most = Math.max(most, ++served)
      await gate
      served--
    },
  })
  const asked = Array.from({ length: maxAsked }, () => left.request('wait'))
  await t.throwsAsync(left.request('wait'), { code: 'ERR_LIMIT' })
  t.true(await until(() => served === maxServed))
  release()
  await Promise.all(asked)
  t.is(most, maxServed)
  left.close()
})

const rubbish: Record<string, string | Buffer> = {
  'no JSON': 'hello\n',
  'a number': '1\n',
  'a list': '[]\n',
  null: 'null\n',
  'an empty line': '\n',
  'an id that is no number': '{"id":"1","method":"status"}\n',
  'parameters that are none': '{"id":1,"method":"status","params":[]}\n',
  'neither request nor answer': '{"id":1}\n',
  'an error without a code': '{"id":1,"error":{}}\n',
  'a line that is too long': Buffer.alloc(maxLineBytes + 1, ' '),
  'bytes that are no text': Buffer.from([0xff, 0xfe, 0x0a]),
}

for (const [what, bytes] of Object.entries(rubbish))
  test(`${what}: the connection is closed`, async (t) => {
    const [a, b] = cable()
    const peer = new Peer(a, { answer: () => ({}) })
    b.on('error', () => undefined)
    b.write(bytes)
    await peer.closed
    t.true(a.destroyed)
  })

test('lines are whole wherever they were cut, up to the longest', (t) => {
  const text = `one\ntwo\n${'x'.repeat(100)}\n\nlast`
  for (let size = 1; size < text.length; size++) {
    const lines = new Lines(100)
    const whole: string[] = []
    for (let at = 0; at < text.length; at += size)
      whole.push(...lines.take(Buffer.from(text.slice(at, at + size)))!.map(String))
    t.deepEqual(whole, ['one', 'two', 'x'.repeat(100), ''])
  }
  t.is(new Lines(100).take(Buffer.alloc(101)), undefined)
})

test('ends that somebody chose are orderly, all others are crashes', (t) => {
  for (const reason of ['power-off', 'hlt', 'exit-port', 'stopped']) t.is(endState(reason), 'ended')
  for (const reason of ['shutdown', 'pio-in', 'mmio-write', 'internal-error', 'fail-entry', 'boom'])
    t.is(endState(reason), 'crashed')
})
