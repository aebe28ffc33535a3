// Viewers that mean no good: each is bounded in what it takes, is dropped, and harms nobody else.
import { randomBytes } from 'node:crypto'
import { connect } from 'node:net'
import { setTimeout as sleep, setImmediate as turn } from 'node:timers/promises'

import test, { type ExecutionContext } from 'ava'

import { patience } from '../src/machine/rfb/patience.ts'
import { RfbClient, formatBytes, messages } from './fixtures/rfb-client.ts'
import { type Served, serve } from './fixtures/rfb-served.ts'
import { until } from './fixtures/until.ts'
import { affordable } from './helpers/speed.ts'

/** Somebody else gets the screen, and does not wait for ever. */
async function othersAreServed(t: ExecutionContext, { server, screen }: Served): Promise<void> {
  const begin = performance.now()
  using other = await RfbClient.open(server.address)
  other.request()
  const update = await other.update()
  const pixels = update.reduce((sum, { width, height }) => sum + width * height, 0)
  t.is(pixels, screen.width * screen.height)
  t.true(performance.now() - begin < 300_000)
}

const nonsense: Record<string, Buffer> = {
  'random bytes': randomBytes(100_000),
  'an HTTP request': Buffer.from('POST / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n'),
  'a version of another protocol': Buffer.from('RFB 004.001\n'),
  'a version that is none': Buffer.from('RFB 003.0x8\n'),
}
for (const [title, bytes] of Object.entries(nonsense)) {
  test(`a stranger that sends ${title} is dropped`, async (t) => {
    const served = await serve(t, 640, 400)
    using client = new RfbClient(served.server.address)
    client.send(bytes)
    await client.dropped()
    await othersAreServed(t, served)
  })
}

test('a stranger that says nothing, or half of what it must, is dropped after 10 s', async (t) => {
  const { server } = await serve(t, 64, 16)
  using silent = new RfbClient(server.address)
  using half = new RfbClient(server.address)
  half.send(Buffer.from('RFB 003.008\n\x01'))
  using viewer = await RfbClient.open(server.address)
  await silent.dropped()
  await half.dropped()
  t.is(server.viewers, 1)
  viewer.request()
  t.is((await viewer.update()).length, 1)
})

test("time in which the process stands still is not the viewer's", async (t) => {
  let isOver = false
  patience(100, () => (isOver = true))
  await sleep(1)
  // As on a host that gives it no processor.
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 300)
  await turn()
  await turn()
  t.false(isOver)
  t.true(await until(() => isOver))
})

const lies: Record<string, Buffer> = {
  'an unknown message': Buffer.of(77),
  'an extension that was not offered': Buffer.concat([Buffer.of(255, 1), Buffer.alloc(10)]),
  'a resize, which was not offered': Buffer.of(251, 0, 0, 9, 0, 9, 1, 0),
  'text of 4 GiB': messages.cutText(0xffff_ffff, Buffer.alloc(1000)),
  'text of an extension': messages.cutText(2 ** 32 - 10, Buffer.alloc(10)),
  'random messages': randomBytes(50_000),
}
for (const [title, bytes] of Object.entries(lies)) {
  test(`a viewer that sends ${title} is dropped`, async (t) => {
    const served = await serve(t, 640, 400)
    using client = await RfbClient.open(served.server.address)
    // Random bytes may begin with a message that takes all of them.
    client.send(bytes, Buffer.of(77), Buffer.alloc(300_000, 77))
    await client.dropped()
    t.true(await until(() => served.server.viewers === 0))
    await othersAreServed(t, served)
  })
}

test('whatever a viewer sends may come byte by byte', async (t) => {
  const { server, keyboard } = await serve(t, 64, 16)
  using client = await RfbClient.open(server.address)
  client.socket.setNoDelay(true)
  const sent = Buffer.concat([
    messages.format(formatBytes(32, false, [255, 255, 255], [16, 8, 0])),
    messages.encodings(0, 1, 2, -258, -223, 5),
    messages.cutText(7, Buffer.from('clipped')),
    messages.pointer(),
    messages.key(true, 0x61),
    messages.key(false, 0x61),
    messages.request(false, 0, 0, 64, 16),
  ])
  for (const byte of sent) {
    client.send(Buffer.of(byte))
    await sleep(0)
  }
  t.is((await client.update()).length, 2)
  t.is(keyboard.notes.join(' '), '+KeyA -KeyA')
})

test('half a message holds up nobody but its sender', async (t) => {
  const served = await serve(t, 640, 400)
  using client = await RfbClient.open(served.server.address)
  client.send(messages.key(true, 0x61).subarray(0, 5))
  await othersAreServed(t, served)
  client.send(messages.key(true, 0x61).subarray(5))
  t.true(await until(() => served.keyboard.notes.length === 1))
})

test('1000 connections: the first are heard, the rest are closed, and then anybody is heard', async (t) => {
  const served = await serve(t, 640, 400)
  using viewer = await RfbClient.open(served.server.address)
  const crowd = Array.from({ length: 1000 }, () => connect(served.server.address))
  let closed = 0
  for (const socket of crowd)
    socket
      .resume()
      .on('error', () => undefined)
      .on('close', () => closed++)
  t.true(await until(() => closed >= 1000 - 16))
  viewer.request()
  t.true((await viewer.update()).length > 0)
  for (const socket of crowd) socket.destroy()
  t.true(await until(() => closed === 1000))
  await othersAreServed(t, served)
})

test('16 viewers may look; the next is told that it may not by closing', async (t) => {
  const { server } = await serve(t, 64, 16)
  const viewers = await Promise.all(
    Array.from({ length: 16 }, () => RfbClient.open(server.address)),
  )
  t.is(server.viewers, 16)
  await t.throwsAsync(RfbClient.open(server.address), { message: 'closed' })
  viewers[0]![Symbol.dispose]()
  t.true(await until(() => server.viewers === 15))
  using next = await RfbClient.open(server.address)
  next.request()
  t.is((await next.update()).length, 1)
  for (const viewer of viewers) viewer[Symbol.dispose]()
})

test('a viewer that asks without end and never reads holds one piece of a picture, and is dropped', async (t) => {
  const served = await serve(t, 2048, 1024)
  using client = await RfbClient.open(served.server.address)
  const { arrayBuffers } = process.memoryUsage()
  const request = messages.request(false, 0, 0, 2048, 1024)
  for (let round = 0; round < affordable(50); round++) {
    client.send(...Array.from({ length: 1000 }, () => request))
    await sleep(1)
  }
  await othersAreServed(t, served)
  // A picture is 8 MiB, and three of them are what is looked at, compared and drawn.
  t.true(process.memoryUsage().arrayBuffers - arrayBuffers < 100 << 20)
  t.true(served.screen.looks < 60)
  t.true(await until(() => served.server.viewers === 0), 'it is dropped after 10 s')
})

test('formats and encodings without end are read, and keys too', async (t) => {
  const served = await serve(t, 640, 400)
  using client = await RfbClient.open(served.server.address)
  const all = messages.encodings(...Array.from({ length: 65_535 }, (_, index) => index - 300))
  const format = messages.format(formatBytes(32, true, [255, 255, 255], [0, 8, 16]))
  const key = messages.key(true, 0x61)
  const rounds = affordable(20)
  for (let round = 0; round < rounds; round++) {
    client.send(all, ...Array.from({ length: 5000 }, () => [format, key]).flat())
  }
  await othersAreServed(t, served)
  client.send(messages.key(false, 0x61))
  t.true(await until(() => served.keyboard.notes.at(-1) === '-KeyA'))
  t.is(served.keyboard.notes.length, rounds * 5000 + 1)
})
