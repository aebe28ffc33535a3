// What a control socket is sent by those who mean no good: their connection alone ends.
import { once } from 'node:events'
import { readdirSync } from 'node:fs'
import { type Socket, connect } from 'node:net'
import { join } from 'node:path'

import test from 'ava'

import { until } from '../../../__test__/fixtures/until.ts'
import { kvmTest } from '../../../__test__/helpers/kvm.ts'
import { randomBelow } from '../../../__test__/helpers/random.ts'
import { Places, spin, startParams } from './helpers/machine-process.ts'

const serial: typeof kvmTest = (title, body) => kvmTest(title, body, test.serial)

/** Lines that are sent; a million with `VMEXIT_SOAK`. */
const lines = process.env['VMEXIT_SOAK'] ? 1_000_000 : 10_000

async function open(path: string): Promise<Socket> {
  const socket = connect(path)
  socket.on('error', () => undefined)
  socket.resume()
  await once(socket, 'connect')
  return socket
}

function descriptors(pid: number): number {
  return readdirSync(`/proc/${pid}/fd`).length
}

serial(
  '10,000 lines that were changed at random, on connections that are made again',
  async (t) => {
    const places = new Places(t)
    const definition = places.definition('m', spin)
    const { child, control } = await places.start(definition)
    const path = join(places.runtime, 'm', 'control.sock')
    const good = [
      { id: 1, method: 'status', params: {} },
      { id: 2, method: 'start', params: startParams(definition) },
      { id: 3, method: 'memory', params: { gpa: 0x1000, bytes: 65_536 } },
      { id: 4, method: 'sendKeys', params: { codes: ['KeyA'], holdMs: 5 } },
      { id: 5, method: 'screenshot', params: { file: join(places.folder, 'none.png') } },
      { id: 6, method: 'stats' },
      { event: 'ended', reason: 'power-off' },
      { id: 7, result: {} },
      { id: 8, error: { code: 'ERR_STATE', message: 'no' } },
      { id: 9, method: '__proto__', params: {} },
    ].map((message) => Buffer.from(`${JSON.stringify(message)}\n`))
    const random = randomBelow(16)
    const before = [child.rss, descriptors(child.pid)] as const
    let socket = await open(path)
    let connections = 1
    for (let sent = 0; sent < lines; sent++) {
      const line = Buffer.from(good[random(good.length)]!)
      for (let changes = random(4); changes > 0; changes--) line[random(line.length)] = random(256)
      if (socket.destroyed || socket.readyState !== 'open') {
        socket = await open(path)
        connections++
      }
      if (!socket.write(line)) await until(() => socket.destroyed || !socket.writableNeedDrain)
      if (sent % 100 === 99) t.is((await control.request('status'))['state'], 'running')
    }
    socket.destroy()
    t.true(connections > 10, `${connections} connections`)
    t.true(await until(() => descriptors(child.pid) <= before[1]))
    t.true(child.rss - before[0] < 64 * 2 ** 20, `${child.rss - before[0]} bytes more`)
    t.deepEqual(child.stderr, '')
    await control.request('kill')
    t.is(await child.gone(), 0)
  },
)

serial('half lines, lines of 2 MiB, and who does not read what was asked', async (t) => {
  const places = new Places(t)
  const { child, control } = await places.start(places.definition('m', spin))
  const path = join(places.runtime, 'm', 'control.sock')
  const half = await open(path)
  half.write('{"id":1,"meth')
  const long = await open(path)
  long.write(Buffer.alloc(2 ** 21, 'x'))
  t.true(await until(() => long.destroyed))
  // Answers of 88 KB each, which nobody reads.
  const deaf = connect(path)
  deaf.on('error', () => undefined)
  deaf.pause()
  const line = `${JSON.stringify({ id: 1, method: 'memory', params: { gpa: 0, bytes: 65_536 } })}\n`
  const before = child.rss
  deaf.write(line.repeat(5000))
  t.is((await control.request('status'))['state'], 'running')
  deaf.resume()
  t.true(await until(() => deaf.destroyed))
  t.true(child.rss - before < 64 * 2 ** 20, `${child.rss - before} bytes more`)
  half.write('od":"status"}\n')
  const [answer] = await once(half, 'data')
  t.regex(String(answer), /"state":"running"/)
  half.destroy()
})

serial('of 1,000 connections some are served, and none is kept', async (t) => {
  const places = new Places(t)
  const { child, control } = await places.start(places.definition('m', spin))
  const path = join(places.runtime, 'm', 'control.sock')
  const before = descriptors(child.pid)
  const sockets = await Promise.all(
    Array.from({ length: 1000 }, async () => {
      const socket = connect(path)
      socket.on('error', () => undefined)
      socket.resume()
      await new Promise((resolve) => socket.once('connect', resolve).once('close', resolve))
      return socket
    }),
  )
  t.true(await until(() => sockets.filter(({ destroyed }) => !destroyed).length < 64))
  t.true(await until(() => descriptors(child.pid) <= before + 64))
  t.is((await control.request('status'))['state'], 'running')
  for (const socket of sockets) socket.destroy()
  t.true(await until(() => descriptors(child.pid) <= before))
  const again = await places.control('m')
  t.is((await again.request('status'))['state'], 'running')
})
