// Hostile clients of a real daemon: each harms itself only, and nothing of them stays.
import type { Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'

import type { ExecutionContext } from 'ava'

import { until } from '../../../__test__/fixtures/until.ts'
import { kvmTest } from '../../../__test__/helpers/kvm.ts'
import { HttpDaemon, echoing, flooding } from './helpers/http-daemon.ts'

/** A warm process has what it needs for good; what leaks is more than this. */
const noiseMib = 64

const get = (path: string): string => `GET ${path} HTTP/1.1\r\nHost: localhost\r\n\r\n`

const post = (path: string, headers: string, body = ''): string =>
  `POST ${path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n${headers}\r\n\r\n${body}`

const handshake = (path: string, more = ''): string =>
  `GET ${path} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n` +
  `Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n${more}\r\n`

/** The next client is served. */
async function serves(t: ExecutionContext, daemon: HttpDaemon): Promise<void> {
  t.is((await daemon.ask({})).status, 200)
}

const isClosed = (socket: Socket): Promise<boolean> => until(() => socket.closed)

kvmTest('requests that never end, are too large or are none are ended', async (t) => {
  t.timeout(1_200_000)
  const daemon = await HttpDaemon.start(t)
  // Byte by byte, and not at all.
  const slow = await daemon.connect()
  slow.resume()
  const drip = setInterval(() => slow.write('X'), 100)
  t.teardown(() => clearInterval(drip))
  slow.write('GET /v1/version HTTP/1.1\r\nX: ')
  const silent = await daemon.connect()
  silent.resume()
  const half = await daemon.connect()
  half.resume()
  half.write(post('/v1/machines', 'Content-Length: 100', '{'))

  const large = '{"x":"'.padEnd(2 * 1024 * 1024, 'x')
  const answers: readonly (readonly [string, RegExp])[] = [
    [
      post('/v1/machines', `Content-Length: ${large.length}\r\nConnection: close`, large),
      /^HTTP\/1.1 413 /,
    ],
    [
      get(`/${'x'.repeat(8000)}`).replace('\r\n\r\n', '\r\nConnection: close\r\n\r\n'),
      /^HTTP\/1.1 414 /,
    ],
    [`GET / HTTP/1.1\r\nHost: localhost\r\nX: ${'x'.repeat(20_000)}\r\n\r\n`, /^HTTP\/1.1 431 /],
    [post('/v1/machines', 'Transfer-Encoding: chunked', 'rubbish\r\n'), /^HTTP\/1.1 400 |^$/],
    [
      post(
        '/v1/machines',
        'Transfer-Encoding: chunked\r\nContent-Length: 5',
        '5\r\nabcde\r\n0\r\n\r\n',
      ),
      /^HTTP\/1.1 400 /,
    ],
    ['\u0000\u0001\u0002\u0003', /^HTTP\/1.1 400 /],
    ['PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', /^HTTP\/1.1 400 |^$/],
    [handshake('/v1/machines/none/serial'), /^HTTP\/1.1 404 /],
    [handshake('/v1/version'), /^HTTP\/1.1 400 /],
    [handshake('/v1/machines/none/serial').replace('13', '8'), /^HTTP\/1.1 400 /],
    [handshake('/v1/machines/none/serial').replace('websocket', 'h2c'), /^HTTP\/1.1 400 /],
    ['CONNECT evil.example:443 HTTP/1.1\r\nHost: evil.example\r\n\r\n', /^$|^HTTP\/1.1 4/],
  ]
  for (const [bytes, expected] of answers) {
    t.regex(await daemon.say(bytes), expected, bytes.slice(0, 80))
    await serves(t, daemon)
  }
  for (const socket of [silent, slow, half]) t.true(await isClosed(socket))
  await serves(t, daemon)
  t.true(await daemon.isIdle())
})

kvmTest('a connection has so many requests at once; a stream of events is its last', async (t) => {
  const daemon = await HttpDaemon.start(t)
  const few = await daemon.say(
    get('/v1/version').repeat(10) +
      get('/v1/version').replace('\r\n\r\n', '\r\nConnection: close\r\n\r\n'),
  )
  t.is(few.match(/HTTP\/1\.1 200 OK/g)?.length, 11)
  // A definition is awaited, so that these wait at once.
  const body = '{"definition":{}}'
  const define = post('/v1/machines', `Content-Length: ${body.length}`, body)
  await daemon.say(define.repeat(1000))
  const events = await daemon.say(get('/v1/events') + get('/v1/version'))
  t.notRegex(events, /"version"/)
  await serves(t, daemon)
  t.true(await daemon.isIdle())
})

kvmTest('a hundred clients at once are served, and nothing of them stays', async (t) => {
  t.timeout(1_200_000)
  const daemon = await HttpDaemon.start(t)
  // A machine has 64 streams at most.
  for (const name of ['m0', 'm1']) {
    await daemon.client.define(echoing(daemon, name))
    await daemon.client.start(name)
  }
  const round = async (): Promise<void> => {
    const clients = Array.from({ length: 100 }, async (_, at) => {
      const { client } = daemon
      const events = client.events({ since: 0 })
      await events.next()
      const console = await client.console(`m${at % 2}`)
      console.on('error', () => undefined).resume()
      console.write(`${at % 10}`)
      await client.list()
      await client.stats(`m${at % 2}`)
      await client.close()
      await events.return(undefined)
    })
    await Promise.all(clients)
  }
  await round()
  t.true(await daemon.isIdle())
  const before = daemon.census()
  for (let rounds = 0; rounds < 5; rounds++) await round()
  t.true(await daemon.isIdle())
  t.true(await until(() => daemon.census().files <= before.files), 'descriptors stay')
  const grown = daemon.census().mib - before.mib
  t.log(`${grown.toFixed(0)} MiB after 500 clients more`)
  t.true(grown < noiseMib, `${grown} MiB`)
})

kvmTest(
  'who does not read waits or is told to come again, and the others are served',
  async (t) => {
    t.timeout(1_200_000)
    const daemon = await HttpDaemon.start(t)
    const { client } = daemon
    await client.define(flooding(daemon, 'flood'))
    await client.start('flood')
    const before = daemon.census().mib
    const sockets = await Promise.all(Array.from({ length: 20 }, () => daemon.connect()))
    for (const [at, socket] of sockets.entries()) {
      socket.pause()
      socket.write(at % 2 ? get('/v1/events') : handshake('/v1/machines/flood/serial'))
    }
    const { lastSeq } = await client.version()
    // So many that they do not fit into what a stream may keep. Who had to wait for one that does not
    // read would wait for ever.
    const definition = echoing(daemon, 'other')
    const times: number[] = []
    for (let count = 0; count < 1500; count++) {
      const at = performance.now()
      await client.define(definition)
      times.push(performance.now() - at)
    }
    const grown = daemon.census().mib - before
    const slowest = Math.max(...times)
    t.log(`${grown.toFixed(0)} MiB, slowest answer ${slowest.toFixed(0)} ms`)
    t.true(grown < noiseMib * 2, `${grown} MiB`)
    // One that was dropped has not missed anything: it comes again by itself.
    let seq = lastSeq
    for await (const event of client.events({ since: lastSeq })) {
      t.is(event.seq, ++seq)
      if (seq % 100 === 0) await sleep(1)
      if (seq >= lastSeq + 1000) break
    }
    for (const socket of sockets) socket.destroy()
    t.true(await until(() => sockets.every((socket) => socket.closed)))
    t.true(await daemon.isIdle())
    await client.kill('flood')
  },
)
