// What goes over the wire of libvirt's protocol, and what a client cannot make the server do.
import { existsSync, statSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { Duplex, Readable } from 'node:stream'

import test, { type ExecutionContext } from 'ava'

import { until } from '../../../__test__/fixtures/until.ts'
import { frame, STATUS, TYPE } from '../src/libvirt/rpc/frames.ts'
import type { Limits } from '../src/libvirt/rpc/limits.ts'
import { REMOTE, type Connection } from '../src/libvirt/rpc/connection.ts'
import { row, type Row } from '../src/libvirt/rpc/row.ts'
import { serveRows } from '../src/libvirt/server.ts'
import { sessionRows } from '../src/libvirt/session/rows.ts'
import { eventRows } from '../src/libvirt/events/rows.ts'
import { procedures } from '../src/libvirt/xdr/procedures.ts'
import { decode, encode } from '../src/libvirt/xdr/shapes.ts'
import { failure, typedParam, param } from '../src/libvirt/xdr/types.ts'
import { duplexPair } from './fixtures/duplex-pair.ts'
import { MemorySupervisor } from './fixtures/supervisor.ts'
import { temporary } from './helpers/folder.ts'
import { LibvirtClient, Refused } from './helpers/libvirt-client.ts'

const NOWHERE = { name: 'one', uuid: '00000000-0000-4000-8000-000000000000', id: -1 }
const DEVICE = { dom: NOWHERE, flags: 0 }
const OPEN_CONSOLE = procedures.domainOpenConsole

/** Rows that tell what the wire does with them. */
const testRows: readonly Row[] = [
  ...sessionRows,
  ...eventRows,
  row(procedures.connectGetHostname, () => ({ hostname: 'here' })),
  row(procedures.domainIsActive, ({ supervisor }, { dom }) => ({
    active: supervisor.find(dom.uuid).state === 'running' ? 1 : 0,
  })),
  row(procedures.domainResume, () => {}),
  row(procedures.domainGetOsType, async () => {
    throw new Error('a fault of ours')
  }),
  row(OPEN_CONSOLE, async ({ supervisor }, { dom }, call) => {
    call.openStream(await supervisor.console(dom.name))
  }),
]

interface Setup {
  readonly supervisor: MemorySupervisor
  readonly path: string
  readonly lines: string[]
  counts(): Record<string, number>
  open(flags?: number | 'unopened'): Promise<LibvirtClient>
  close(): Promise<void>
}

async function setUp(
  t: ExecutionContext,
  limits: Partial<Limits> = {},
  more: readonly Row[] = [],
): Promise<Setup> {
  const path = join(temporary(t), 's')
  const supervisor = new MemorySupervisor()
  await supervisor.define({ name: 'one' }, { uuid: NOWHERE.uuid })
  const lines: string[] = []
  const log = (line: string): void => void lines.push(line)
  const options = { supervisor, version: '1.2.3', log, limits }
  const server = await serveRows([...testRows, ...more], options, { path })
  const clients: LibvirtClient[] = []
  t.teardown(async () => {
    for (const client of clients) client[Symbol.dispose]()
    await server.close()
  })
  return {
    ...{ supervisor, path, lines },
    counts: () => server.counts(),
    async open(flags) {
      const client = await LibvirtClient.open(path, flags)
      clients.push(client)
      return client
    },
    close: () => server.close(),
  }
}

/** Another client is served as if nothing had been. */
async function servesOthers(t: ExecutionContext, { open }: Setup): Promise<void> {
  using other = await open()
  t.deepEqual(await other.call(procedures.connectGetHostname, undefined), { hostname: 'here' })
}

test('a call is answered, and an error has a code and a message', async (t) => {
  const { open } = await setUp(t)
  const client = await open()
  t.deepEqual(await client.call(procedures.connectGetHostname, undefined), { hostname: 'here' })
  t.deepEqual(await client.call(procedures.domainIsActive, { dom: NOWHERE }), { active: 0 })
  const other = { ...NOWHERE, uuid: '00000000-0000-4000-8000-000000000001' }
  const error = await t.throwsAsync(client.call(procedures.domainIsActive, { dom: other }))
  t.is((error as Refused).code, 42)
  t.regex(error.message, /there is no machine/)
  const fault = await t.throwsAsync(client.call(procedures.domainGetOsType, { dom: NOWHERE }))
  t.is((fault as Refused).code, 1)
  t.regex(fault.message, /a fault of ours/)
})

test('before it is opened, a connection has who may open it, and no more', async (t) => {
  const setup = await setUp(t)
  const client = await setup.open('unopened')
  t.deepEqual(await client.call(procedures.authList, undefined), { types: [0] })
  const features = [2, 10, 14, 15, 8, 4, -1]
  const supported: number[] = []
  for (const feature of features) {
    supported.push((await client.call(procedures.connectSupportsFeature, { feature })).supported)
  }
  t.deepEqual(supported, [1, 1, 1, 1, 0, 0, 0])
  const early = await t.throwsAsync(client.call(procedures.connectGetHostname, undefined))
  t.is((early as Refused).code, 6)
  await client.call(procedures.connectOpen, { name: undefined, flags: 0 })
  await client.call(procedures.connectGetHostname, undefined)
  const twice = client.call(procedures.connectOpen, { name: undefined, flags: 0 })
  await t.throwsAsync(twice, { message: /open already/ })
  await client.call(procedures.connectClose, undefined)
  await client.closed
  await servesOthers(t, setup)
})

test('a connection that is opened to read only changes nothing', async (t) => {
  const { open } = await setUp(t)
  const [reads, writes] = [await open(1), await open(0)]
  await writes.call(procedures.domainResume, { dom: NOWHERE })
  t.deepEqual(await reads.call(procedures.domainIsActive, { dom: NOWHERE }), { active: 0 })
  const error = await t.throwsAsync(reads.call(procedures.domainResume, { dom: NOWHERE }))
  t.is((error as Refused).code, 29)
})

test('what nobody answers is refused, counted, and named once in the log', async (t) => {
  const { open, counts, lines } = await setUp(t)
  const client = await open()
  for (let count = 0; count < 3; count++) {
    const error = await t.throwsAsync(client.call(procedures.domainReset, DEVICE))
    t.is((error as Refused).code, 3)
    t.regex(error.message, /not supported by the connection driver: DOMAIN_RESET/)
  }
  for (const number of [443, 0, -1, 2 ** 31 - 1, -(2 ** 31)]) {
    const { status, payload } = await client.ask(number, new Uint8Array())
    t.is(status, STATUS.error)
    t.is(decode(failure, payload).code, 3)
  }
  t.like(counts(), {
    'unsupported DOMAIN_RESET': 3,
    'unsupported procedure 443': 1,
    'unsupported procedure other': 4,
  })
  t.deepEqual(
    lines.map((line) => line.replace(/.*vain: /, '')),
    [
      'DOMAIN_RESET (245) is not supported',
      'procedure 443 (443) is not supported',
      'procedure 0 (0) is not supported',
    ],
  )
})

test('arguments that are none are an error of that call', async (t) => {
  const { open } = await setUp(t)
  const client = await open()
  const whole = encode(procedures.domainIsActive.arguments, { dom: NOWHERE })
  const texts = ['a\0b', '\u{d800}'].map((text) => Buffer.from(text))
  const withName = (name: Uint8Array): Buffer => {
    const head = Buffer.alloc(4)
    head.writeUInt32BE(name.length)
    const rest = Buffer.concat([name, Buffer.alloc((4 - (name.length % 4)) % 4)])
    return Buffer.concat([head, rest, whole.subarray(8)])
  }
  const broken = [
    new Uint8Array(),
    whole.subarray(0, 5),
    whole.subarray(0, -1),
    Buffer.concat([whole, Buffer.alloc(4)]),
    Buffer.from('ffffffff', 'hex'),
    Buffer.concat([Buffer.from('7fffffff', 'hex'), whole]),
    ...[texts[0] as Buffer, Buffer.from('ff', 'hex')].map((name) => withName(name)),
    withName(Buffer.alloc(1025, 'a')),
  ]
  for (const payload of broken) {
    const { status, payload: said } = await client.ask(procedures.domainIsActive.number, payload)
    t.is(status, STATUS.error)
    t.is(decode(failure, said).code, 39)
  }
  const { status } = await client.ask(procedures.domainIsActive.number, withName(Buffer.from('a')))
  t.is(status, STATUS.ok)
})

test('another program, another version and a status are answered by an error', async (t) => {
  const { open } = await setUp(t)
  const client = await open()
  for (const header of [{ program: 0x20008087 }, { version: 2 }, { status: STATUS.error }]) {
    const came = await client.ask(procedures.connectGetHostname.number, new Uint8Array(), header)
    t.is(came.status, STATUS.error)
    t.is(came.program, header.program ?? REMOTE.program)
    t.is(decode(failure, came.payload).code, 39)
  }
  await client.call(procedures.connectGetHostname, undefined)
})

test('a ping is answered by a pong, before the connection is opened, too', async (t) => {
  const { open } = await setUp(t)
  const client = await open('unopened')
  const keepalive = { program: 0x6b656570, version: 1, type: TYPE.message, serial: 0, status: 0 }
  client.socket.write(frame({ ...keepalive, procedure: 1 }))
  client.socket.write(frame({ ...keepalive, procedure: 2 }))
  client.socket.write(frame({ ...keepalive, procedure: 1 }))
  t.true(await until(() => client.told.length === 2))
  t.like(client.told[0], { ...keepalive, procedure: 2 })
  t.like(client.told[1], { ...keepalive, procedure: 2 })
})

const HEADER = { ...REMOTE, procedure: 66, type: TYPE.call, serial: 1, status: STATUS.ok }
const lengths = [...Array.from({ length: 28 }, (_, at) => at), 2 ** 32 - 1, 33_554_433, 5_000_000]

for (const [what, bytes] of Object.entries({
  'a reply': [frame({ ...HEADER, type: TYPE.reply })],
  'a message': [frame({ ...HEADER, type: TYPE.message })],
  'passed descriptors': [frame({ ...HEADER, type: 4 })],
  'a type that is none': [frame({ ...HEADER, type: 2 ** 32 - 1 })],
  'a stream of another program': [frame({ ...HEADER, program: 7, type: TYPE.stream })],
  'a sign of life that is none': [frame({ ...HEADER, program: 0x6b656570 })],
  'a length that cannot be': lengths.map((length) => {
    const message = frame(HEADER)
    message.writeUInt32BE(length)
    return message
  }),
  'a large message before the connection is opened': [frame(HEADER, Buffer.alloc(70_000))],
  'bytes that are no messages': [Buffer.from('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n')],
})) {
  test(`${what} closes the connection, and no other`, async (t) => {
    const setup = await setUp(t)
    const bystander = await setup.open()
    for (const sent of bytes) {
      const client = await setup.open('unopened')
      client.socket.write(sent)
      await client.closed
    }
    await bystander.call(procedures.connectGetHostname, undefined)
    t.is(setup.counts()['closed'], bytes.length)
    t.true(await until(() => setup.counts()['clients'] === 1))
  })
}

test('a message may come byte by byte, and many at once', async (t) => {
  const { open } = await setUp(t)
  const client = await open()
  const header = { ...HEADER, procedure: procedures.connectGetHostname.number, type: TYPE.call }
  const bytes = frame(header)
  const slow = new Promise<void>((resolve) => {
    const send = (at: number): void => {
      if (at === bytes.length) return resolve()
      client.socket.write(bytes.subarray(at, at + 1), () => setImmediate(() => send(at + 1)))
    }
    send(0)
  })
  await slow
  const asked = Array.from({ length: 1000 }, () =>
    client.call(procedures.connectGetHostname, undefined),
  )
  t.is(new Set((await Promise.all(asked)).map(({ hostname }) => hostname)).size, 1)
})

test('typed parameters have all types', (t) => {
  const all = [
    param.int('a', -1),
    param.uint('b', 2 ** 32 - 1),
    param.hyper('c', -(2n ** 63n)),
    param.uhyper('d', 2n ** 64n - 1n),
    param.double('e', 0.5),
    param.boolean('f', true),
    param.string('g', 'text'),
  ]
  for (const each of all) t.deepEqual(decode(typedParam, encode(typedParam, each)), each)
  const unknown = { field: 'h', value: { type: 8, value: 1 } }
  t.throws(() => encode(typedParam, unknown), { message: /arm 8/ })
})

const CONSOLE = { dom: NOWHERE, dev_name: undefined, flags: 0 }

test('a console goes both ways and ends by finish, by abort and with the machine', async (t) => {
  const { open, supervisor } = await setUp(t)
  await supervisor.start('one')
  const client = await open()
  const serials: number[] = []
  for (let count = 0; count < 3; count++) {
    await client.call(OPEN_CONSOLE, CONSOLE)
    serials.push(client.serial)
  }
  const [finished = 0, aborted = 0, ended = 0] = serials
  const texts = (): string[] => serials.map((serial) => client.streamed(serial).text)
  t.true(await until(() => texts().every((text) => text === 'kept text\r\n')))
  for (const serial of serials) {
    client.stream(OPEN_CONSOLE.number, serial, STATUS.continue, Buffer.from(`typed ${serial}`))
  }
  t.true(await until(() => texts().every((text, at) => text.endsWith(`typed ${serials[at]}`))))
  client.stream(OPEN_CONSOLE.number, finished, STATUS.ok)
  client.stream(OPEN_CONSOLE.number, aborted, STATUS.error)
  const last = (serial: number): number | undefined => client.streamed(serial).statuses.at(-1)
  t.true(await until(() => last(finished) === STATUS.ok && last(aborted) === STATUS.ok))
  t.true(await until(() => supervisor.consoles.size === 1))
  await supervisor.kill('one')
  // Nothing more comes: a message without bytes.
  t.true(await until(() => last(ended) === STATUS.continue))
  client.stream(OPEN_CONSOLE.number, ended, STATUS.ok)
  t.true(await until(() => last(ended) === STATUS.ok))
  t.true(await until(() => supervisor.consoles.size === 0))
})

test('a console of a machine that does not run is an error, and no stream', async (t) => {
  const { open } = await setUp(t)
  const client = await open()
  const error = await t.throwsAsync(client.call(OPEN_CONSOLE, CONSOLE))
  t.is((error as Refused).code, 55)
  client.stream(OPEN_CONSOLE.number, client.serial, STATUS.continue, Buffer.from('lost'))
  client.stream(OPEN_CONSOLE.number, client.serial, STATUS.ok)
  await client.call(procedures.connectGetHostname, undefined)
  t.deepEqual(client.told, [])
})

test('the other end of a stream may fail, before and after its answer', async (t) => {
  const broken = row(procedures.domainScreenshot, (_, { screen }, call) => {
    const end = new Readable({ read() {} }) as never as Parameters<typeof call.openStream>[0]
    call.openStream(end)
    if (screen === 1) throw new Error('before')
    const fail = (): unknown => end.destroy(new Error('after'))
    if (screen === 2) fail()
    else setImmediate(fail)
    return { mime: 'image/png' }
  })
  const { open } = await setUp(t, { streams: 3 }, [broken])
  const client = await open()
  const ask = (screen: number) =>
    client.call(procedures.domainScreenshot, { dom: NOWHERE, screen, flags: 0 })
  for (let count = 0; count < 5; count++) await t.throwsAsync(ask(1), { message: /before/ })
  for (const screen of [2, 3]) {
    t.deepEqual(await ask(screen), { mime: 'image/png' })
    const { serial } = client
    t.true(await until(() => client.streamed(serial).statuses.length > 0))
  }
  await client.call(procedures.connectGetHostname, undefined)
})

test('a hole in a stream, a status that is none and one stream too many are refused', async (t) => {
  const { open, supervisor } = await setUp(t, { streams: 3 })
  await supervisor.start('one')
  const client = await open()
  for (let count = 0; count < 3; count++) await client.call(OPEN_CONSOLE, CONSOLE)
  const [hole, status] = [client.serial - 1, client.serial]
  await t.throwsAsync(client.call(OPEN_CONSOLE, CONSOLE), { message: /may have 3 streams/ })
  const header = { ...REMOTE, procedure: OPEN_CONSOLE.number, status: STATUS.ok }
  client.socket.write(frame({ ...header, type: TYPE.hole, serial: hole }, Buffer.alloc(12)))
  client.stream(OPEN_CONSOLE.number, status, 77)
  t.true(
    await until(() =>
      [hole, status].every((serial) => client.streamed(serial).statuses.at(-1) === STATUS.error),
    ),
  )
  t.true(await until(() => supervisor.consoles.size === 1))
  await client.call(OPEN_CONSOLE, CONSOLE)
  client[Symbol.dispose]()
  t.true(await until(() => supervisor.consoles.size === 0))
})

test('bytes of any number come whole and in order through a stream', async (t) => {
  const bytes = Buffer.from(Array.from({ length: 3_000_000 }, (_, at) => (at * 7) % 251))
  const taken: Buffer[] = []
  const both = row(procedures.domainScreenshot, (_, _args, call) => {
    const [mine, theirs] = duplexPair()
    mine.on('data', (chunk: Buffer) => taken.push(chunk))
    mine.end(bytes)
    call.openStream(theirs)
    return { mime: undefined }
  })
  const { open } = await setUp(t, {}, [both])
  const client = await open()
  const { number } = procedures.domainScreenshot
  await client.call(procedures.domainScreenshot, { dom: NOWHERE, screen: 0, flags: 0 })
  const { serial } = client
  for (let at = 0; at < bytes.length; at += 200_000) {
    client.stream(number, serial, STATUS.continue, bytes.subarray(at, at + 200_000))
  }
  const ofStream = () => client.told.filter((came) => came.serial === serial)
  t.true(await until(() => ofStream().at(-1)?.payload.length === 0))
  const came = Buffer.concat(ofStream().map(({ payload }) => payload))
  t.true(came.equals(bytes))
  t.true(ofStream().every(({ payload }) => payload.length <= 262_120))
  t.true(await until(() => Buffer.concat(taken).length === bytes.length))
  t.true(Buffer.concat(taken).equals(bytes))
  client.stream(number, serial, STATUS.ok)
  t.true(await until(() => ofStream().at(-1)?.status === STATUS.ok))
})

test('a stream gives no more than its client reads, and all of it in the end', async (t) => {
  let given = 0
  const most = 400 * 65_536
  const endless = row(procedures.domainScreenshot, (_, _args, call) => {
    const end = new Duplex({
      read() {
        given += 65_536
        this.push(given > most ? null : Buffer.alloc(65_536))
      },
    })
    call.openStream(end)
    return { mime: undefined }
  })
  const setup = await setUp(t, {}, [endless])
  const client = await setup.open()
  client.socket.pause()
  const asked = client.call(procedures.domainScreenshot, { dom: NOWHERE, screen: 0, flags: 0 })
  t.true(await until(() => given > 0))
  await servesOthers(t, setup)
  // What the sockets hold, and no more.
  t.true(given < most / 4, `${given} bytes were given`)
  client.socket.resume()
  await asked
  const ofStream = () => client.told.filter(({ serial }) => serial === client.serial)
  t.true(await until(() => ofStream().at(-1)?.payload.length === 0))
  t.is(Buffer.concat(ofStream().map(({ payload }) => payload)).length, most)
})

test('what is written to a stream that takes nothing stops its connection, then is an error', async (t) => {
  const stuck = row(procedures.domainScreenshot, (_, _args, call) => {
    const [, theirs] = duplexPair()
    call.openStream(theirs)
    return { mime: undefined }
  })
  const setup = await setUp(t, { streamStallMs: 300 }, [stuck])
  const client = await setup.open()
  await client.call(procedures.domainScreenshot, { dom: NOWHERE, screen: 0, flags: 0 })
  const { serial } = client
  const { number } = procedures.domainScreenshot
  for (let count = 0; count < 100; count++) {
    client.stream(number, serial, STATUS.continue, Buffer.alloc(60_000))
  }
  const asked = client.call(procedures.connectGetHostname, undefined)
  await servesOthers(t, setup)
  t.deepEqual(await asked, { hostname: 'here' })
  t.is(client.streamed(serial).statuses.at(-1), STATUS.error)
})

test('a client that never reads what it asks for is stopped, then closed', async (t) => {
  const large = row(procedures.connectGetCapabilities, () => ({
    capabilities: 'x'.repeat(1_000_000),
  }))
  const setup = await setUp(t, { stallMs: 500 }, [large])
  const socket = connect(setup.path)
  t.teardown(() => socket.destroy())
  socket.on('error', () => {})
  const open = encode(procedures.connectOpen.arguments, { name: 'x', flags: 0 })
  socket.write(frame({ ...HEADER, procedure: 1 }, open))
  const before = process.memoryUsage.rss()
  let most = 0
  const ask = frame({ ...HEADER, procedure: procedures.connectGetCapabilities.number })
  for (let count = 0; count < 1000; count++) socket.write(ask)
  const isClosed = (): boolean => {
    most = Math.max(most, process.memoryUsage.rss())
    return setup.counts()['closed'] === 1
  }
  t.true(await until(isClosed))
  // All answers are 1,000 MiB. What the collector has yet to take is beside what waits.
  t.true((most - before) / 2 ** 20 < 300, `${(most - before) / 2 ** 20} MiB more`)
  await servesOthers(t, setup)
})

test('a client that does not read its events is closed when too many wait', async (t) => {
  const setup = await setUp(t, { outgoingBytes: 100_000 })
  const socket = connect(setup.path)
  t.teardown(() => socket.destroy())
  socket.on('error', () => {})
  const say = (procedure: number, payload: Uint8Array): void =>
    void socket.write(frame({ ...HEADER, procedure }, payload))
  const register = procedures.connectDomainEventCallbackRegisterAny
  say(1, encode(procedures.connectOpen.arguments, { name: 'x', flags: 0 }))
  say(register.number, encode(register.arguments, { eventID: 0, dom: undefined }))
  t.true(await until(() => setup.counts()['calls'] === 2))
  const reader = await setup.open()
  await reader.call(register, { eventID: 0, dom: undefined })
  for (let count = 0; count < 20_000 && setup.counts()['closed'] === 0; count++) {
    await setup.supervisor.define({ name: 'one' })
    if (count % 100 === 0) await new Promise((resolve) => setImmediate(resolve))
  }
  t.is(setup.counts()['closed'], 1)
  t.false(reader.isClosed)
  t.true(await until(() => reader.told.length > 100))
})

test('more connections than are allowed are not let in, and one that never opens goes', async (t) => {
  const setup = await setUp(t, { connections: 3, openMs: 5000 })
  const kept = [await setup.open(), await setup.open()]
  const idle = await setup.open('unopened')
  const refused = await setup.open('unopened')
  await refused.closed
  t.is(setup.counts()['refused'], 1)
  await idle.closed
  await servesOthers(t, setup)
  for (const client of kept) t.false(client.isClosed)
})

test('half a message is waited for, but not for ever', async (t) => {
  const setup = await setUp(t, { messageMs: 300 })
  const [idle, half] = [await setup.open(), await setup.open()]
  half.socket.write(frame(HEADER).subarray(0, 20))
  await half.closed
  await idle.call(procedures.connectGetHostname, undefined)
  t.is(setup.counts()['closed'], 1)
})

test('halves of large messages have a bound together, and small ones go on', async (t) => {
  const setup = await setUp(t, { partialBytes: 2_000_000 })
  const bystander = await setup.open()
  const half = frame(HEADER, Buffer.alloc(1_500_000)).subarray(0, 900_000)
  const hoarders = [await setup.open(), await setup.open(), await setup.open(), await setup.open()]
  for (const { socket } of hoarders) socket.write(half)
  t.true(await until(() => setup.counts()['closed'] !== 0))
  await bystander.call(procedures.connectGetHostname, undefined)
  for (const hoarder of hoarders) hoarder[Symbol.dispose]()
  t.true(await until(() => setup.counts()['clients'] === 1))
  t.true((setup.counts()['partialBytes'] ?? 0) <= 64 * 1024)
  // Whole, it is taken.
  const name = 'x'.repeat(1_500_000)
  await t.throwsAsync(bystander.call(procedures.connectOpen, { name, flags: 0 }), {
    message: /open already/,
  })
})

test('the socket is for its owner alone, and goes with the server', async (t) => {
  const { path, close } = await setUp(t)
  t.is(statSync(path).mode & 0o777, 0o600)
  await close()
  t.false(existsSync(path))
})

test('calls of a connection are answered at once up to a bound, and all in the end', async (t) => {
  let [now, most] = [0, 0]
  const slow = row(procedures.connectGetUri, async () => {
    most = Math.max(most, ++now)
    await new Promise((resolve) => setTimeout(resolve, 2))
    now--
    return { uri: 'x' }
  })
  const { open } = await setUp(t, { calls: 4 }, [slow])
  const client = await open()
  const all = Array.from({ length: 50 }, () => client.call(procedures.connectGetUri, undefined))
  await Promise.all(all)
  t.is(most, 4)
})

test('the end of the server leaves nothing', async (t) => {
  const setup = await setUp(t)
  await setup.supervisor.start('one')
  const clients = [await setup.open(), await setup.open('unopened')]
  await clients[0]?.call(OPEN_CONSOLE, CONSOLE)
  t.is(setup.supervisor.listeners, 1)
  t.is(setup.supervisor.consoles.size, 1)
  await setup.close()
  for (const client of clients) await client.closed
  t.is(setup.supervisor.listeners, 0)
  t.true(await until(() => setup.supervisor.consoles.size === 0))
  await t.throwsAsync(setup.open())
})

test('a handler that ends after its client has gone harms nobody', async (t) => {
  let go = (): void => {}
  const connections: Connection[] = []
  const late = row(procedures.domainScreenshot, async (connection, _args, call) => {
    connections.push(connection)
    await new Promise<void>((resolve) => (go = resolve))
    call.openStream(await connection.supervisor.console('one'))
    return { mime: undefined }
  })
  const setup = await setUp(t, {}, [late])
  await setup.supervisor.start('one')
  const client = await setup.open()
  const asked = client.call(procedures.domainScreenshot, { dom: NOWHERE, screen: 0, flags: 0 })
  t.true(await until(() => connections.length === 1))
  client[Symbol.dispose]()
  await t.throwsAsync(asked)
  t.true(await until(() => setup.counts()['clients'] === 0))
  go()
  await servesOthers(t, setup)
  t.true(await until(() => setup.supervisor.consoles.size === 0))
  t.is(connections[0]?.streams.count, 0)
})
