// Each limit of the front end for HTTP is reached: what is over it is refused, the rest is served,
// and what was held is free again.
import { once } from 'node:events'
import { request } from 'node:http'
import type { Socket } from 'node:net'
import { join } from 'node:path'
import { mock } from 'node:test'

import test from 'ava'
import { WebSocket } from 'ws'

import { until } from '../../../__test__/fixtures/until.ts'
import * as limits from '../src/http/limits.ts'
import { serveHttp } from '../src/http/server.ts'
import { MemorySupervisor } from './fixtures/supervisor.ts'
import { Flood } from './helpers/flood.ts'
import { temporary } from './helpers/folder.ts'

/** A warm process has what it needs for good. */
const noiseMib = 64
const many = 50

test('who does not read is held to a bound, or dropped, and who reads is served', async (t) => {
  t.timeout(900_000)
  const flood = await Flood.start(t)
  const reader = (await flood.console()) as WebSocket
  let read = 0
  reader.on('message', (bytes: Buffer) => (read += bytes.length))
  t.true(await until(() => read > 2 ** 24))
  const { residentMib: before } = await flood.census()
  for (let at = 0; at < many; at++) {
    const socket = (await flood.console()) as WebSocket
    socket.pause()
    t.is((await flood.ask('/v1/events')).statusCode, 200)
    t.is((await flood.ask('/v1/stats')).statusCode, 200)
  }
  // More than what their sockets and we keep.
  const reached = read + 2 ** 28
  t.true(await until(() => read > reached))
  const { residentMib, counts } = await flood.census(20_000)
  t.is(counts['httpWebSockets'], many + 1)
  t.is(await flood.status('/v1/version'), 200)
  t.true(await flood.holds('httpEventStreams', 0), 'streams that are not read are dropped')
  t.is((await flood.census()).counts['httpEventStreamsDropped'], many)
  // What waits, and once more for what it is made of.
  const held = 2 * (limits.eventBufferBytes + limits.webSocketBufferBytes)
  const grown = residentMib - before
  t.log(`${(grown / many).toFixed(2)} MiB for each of ${many}`)
  t.true(grown < noiseMib + (many * held) / 2 ** 20, `${grown} MiB`)
  flood.leave()
  t.true(await flood.holds('httpConnections', 0))
})

test('so many connections are served, and one more is closed', async (t) => {
  const flood = await Flood.start(t)
  const sockets: Socket[] = []
  for (let at = 0; at < limits.maxConnections; at++) sockets.push(await flood.connect())
  t.true(await flood.holds('httpConnections', limits.maxConnections))
  const further = (await flood.connect()).resume()
  t.true(await until(() => further.closed))
  sockets.pop()!.destroy()
  t.true(await flood.holds('httpConnections', limits.maxConnections - 1))
  t.is(await flood.status('/v1/version'), 200)
})

test('so many streams and WebSockets are open, and one more is refused', async (t) => {
  t.timeout(900_000)
  const flood = await Flood.start(t)
  for (const path of ['/v1/events', '/v1/stats']) {
    for (let at = 0; at < limits.maxEventStreams; at++)
      t.is((await flood.ask(path)).statusCode, 200)
    t.is(await flood.status(path), 429, path)
    flood.leave()
    t.true(await flood.holds('httpConnections', 0))
    t.is((await flood.ask(path)).statusCode, 200)
    flood.leave()
  }
  for (let at = 0; at < limits.maxWebSockets; at++) {
    const socket = (await flood.console()) as WebSocket
    socket.pause()
  }
  t.is(await flood.console(), 429)
  flood.leave()
  t.true(await flood.holds('httpWebSockets', 0))
  t.is(typeof (await flood.console()), 'object')
})

test('so many bytes of bodies and of answers are held, and no more', async (t) => {
  t.timeout(900_000)
  const flood = await Flood.start(t)
  // Pictures of 1 MiB that are not read.
  const pictures: number[] = []
  while (!pictures.includes(503) && pictures.length < 100)
    pictures.push((await flood.ask('/v1/machines/m/screen.png')).statusCode!)
  t.is(pictures.indexOf(503), limits.maxAnswersBytes / 2 ** 20)
  flood.leave()
  t.true(await flood.holds('httpAnswerBytes', 0))
  t.is(await flood.status('/v1/machines/m/screen.png'), 200)
  // Bodies that do not come to their end.
  const head =
    `POST /v1/machines HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n` +
    `Content-Length: ${limits.maxBodyBytes}\r\n\r\n`
  const body = '{"x":"'.padEnd(limits.maxBodyBytes - 1, 'x')
  for (let at = 0; at < limits.maxBodiesBytes / limits.maxBodyBytes; at++) {
    const socket = await flood.connect(head + body)
    socket.resume()
  }
  const full = limits.maxBodiesBytes - limits.maxBodiesBytes / limits.maxBodyBytes
  t.true(await flood.holds('httpBodyBytes', full))
  const further = await flood.connect(head + body)
  let said = ''
  further.on('data', (bytes: Buffer) => (said += bytes.toString('latin1')))
  t.true(await until(() => said.includes('\r\n\r\n')))
  t.regex(said, /^HTTP\/1\.1 503 /)
  flood.leave()
  t.true(await flood.holds('httpBodyBytes', 0))
})

test('who shows no sign of life is closed, who does is told of ours', async (t) => {
  const path = join(temporary(t), 'api.sock')
  const supervisor = new MemorySupervisor()
  await supervisor.define({ name: 'm' })
  await supervisor.start('m')
  mock.timers.enable({ apis: ['setInterval'] })
  t.teardown(() => mock.timers.reset())
  const server = await serveHttp({ supervisor, version: '0' }, { path })
  t.teardown(() => server.close())

  const url = `ws+unix:${path}:/v1/machines/m/serial`
  const silent = new WebSocket(url, { autoPong: false })
  const living = new WebSocket(url)
  const closed = new Set<WebSocket>()
  let [pings, lines] = [0, 0]
  for (const socket of [silent, living]) socket.on('close', () => closed.add(socket))
  living.on('ping', () => (pings += 1))
  t.teardown(() => [silent, living].forEach((each) => each.terminate()))
  await Promise.all([once(silent, 'open'), once(living, 'open')])
  const asked = request({ socketPath: path, path: '/v1/events', agent: false }).end()
  t.teardown(() => asked.destroy())
  asked.on('error', () => undefined)
  const [events] = await once(asked, 'response')
  events.on('data', (bytes: Buffer) => (lines += String(bytes).split(': alive\n').length - 1))

  for (let beats = 1; beats <= limits.maxSilentPings + 1; beats++) {
    t.is(closed.size, 0)
    mock.timers.tick(limits.heartbeatMs)
    t.true(await until(() => pings === beats && lines === beats), `${beats}: ${pings}, ${lines}`)
    // Its answer has come when what it typed after it has.
    living.send(Buffer.from('x'))
    await once(living, 'message')
  }
  t.true(await until(() => closed.has(silent)))
  t.false(closed.has(living))
  t.is(server.counts()['httpWebSockets'], 1)
})
