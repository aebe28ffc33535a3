// A server of libvirt's protocol in a process of its own, and clients that say anything:
// VMEXIT_SOAK=1 sends a hundred times as much.
import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'

import test from 'ava'

import { until } from '../../../__test__/fixtures/until.ts'
import { procedures } from '../src/libvirt/xdr/procedures.ts'
import { LibvirtClient } from './helpers/libvirt-client.ts'
import { Random, session } from './helpers/libvirt-random.ts'
import { servedApart } from './helpers/libvirt-served.ts'

const isSoak = process.env['VMEXIT_SOAK'] === '1'
const MESSAGES = Number(process.env['VMEXIT_FUZZ_MESSAGES'] ?? (isSoak ? 1_000_000 : 10_000))
const SEED = process.env['VMEXIT_FUZZ_SEED'] ?? 'libvirt'
const MINUTE = 60_000
/** Memory that comes and goes. */
const NOISE_MIB = 96

async function open(path: string): Promise<Socket> {
  const socket = connect(path)
  socket.on('error', () => {})
  await once(socket, 'connect')
  return socket
}

/** One client; how many messages it sent. */
async function misbehave(path: string, step: number): Promise<number> {
  const random = new Random(SEED, step)
  const socket = await open(path)
  const closed = new Promise((resolve) => socket.once('close', resolve))
  const reads = !random.oneIn(10)
  if (reads) socket.resume()
  const messages = session(random, random.pick([1, 10, 50, 100]))
  const bytes = Buffer.concat(messages)
  const piece = random.oneIn(10) ? 1 + random.below(50) : bytes.length
  // Not for ever byte by byte.
  const pieces = Math.min(200, Math.ceil(bytes.length / piece))
  for (let at = 0; at < pieces && !socket.destroyed; at++) {
    const end = at === pieces - 1 ? bytes.length : (at + 1) * piece
    socket.write(bytes.subarray(at * piece, end))
    if (pieces > 1 && at % 20 === 0) await sleep(0)
  }
  await sleep(random.pick([0, 1, 5, 20]))
  if (random.oneIn(2)) {
    socket.end()
    // What it has said is answered, however late.
    if (reads) await closed
  }
  socket.destroy()
  return messages.length
}

test('whatever clients say, another one is served, and nothing stays', async (t) => {
  t.timeout(isSoak ? 240 * MINUTE : 30 * MINUTE)
  const { path, census } = await servedApart(t)
  using bystander = await LibvirtClient.open(path)
  const register = procedures.connectDomainEventCallbackRegisterAny
  await bystander.call(register, { eventID: 0, dom: undefined })
  let [sent, step, slowestMs] = [0, 0, 0]

  async function go(end: number): Promise<void> {
    while (sent < end) {
      const batch = Array.from({ length: 8 }, () => misbehave(path, step++))
      for (const count of await Promise.all(batch)) sent += count
      const began = performance.now()
      await bystander.call(procedures.connectGetHostname, undefined)
      slowestMs = Math.max(slowestMs, performance.now() - began)
      bystander.told.length = 0
    }
  }

  async function settled() {
    const isAlone = async (): Promise<boolean> => (await census()).counts['clients'] === 1
    for (const end = performance.now() + 5 * MINUTE; performance.now() < end && !(await isAlone());)
      await sleep(20)
    return census()
  }

  await go(MESSAGES / 4)
  const warm = await settled()
  await go(MESSAGES)
  const last = await settled()
  const { calls, closed } = last.counts
  t.log(`${sent} messages of ${step} clients, ${calls} calls, ${closed} closed by the server`)
  t.log(`${warm.residentMiB.toFixed(0)} to ${last.residentMiB.toFixed(0)} MiB; ${last.files} files`)
  t.log(`the slowest call of another client took ${slowestMs.toFixed(0)} ms`)
  t.deepEqual(last.stray, [])
  t.is(last.counts['clients'], 1)
  t.is(last.consoles, 0)
  t.is(last.listeners, 1)
  t.true((last.counts['partialBytes'] ?? 0) <= 64 * 1024)
  t.true(last.files <= warm.files, `${warm.files} files, then ${last.files}`)
  t.true(last.residentMiB - warm.residentMiB < NOISE_MIB)
  // Those of clients that wait for the end; the others may be gone before they are read.
  t.true((calls ?? 0) > MESSAGES / 8, 'many messages are calls that are answered')
})

test('a hundred clients at once are served, and leave nothing', async (t) => {
  t.timeout(10 * MINUTE)
  const { path, census } = await servedApart(t)
  using first = await LibvirtClient.open(path)
  const before = await census()
  const clients = await Promise.all(Array.from({ length: 100 }, () => LibvirtClient.open(path)))
  const register = procedures.connectDomainEventCallbackRegisterAny
  const answers = await Promise.all(
    clients.map(async (client) => {
      await client.call(register, { eventID: 0, dom: undefined })
      const list = await client.call(procedures.connectListAllDomains, {
        need_results: 1,
        flags: 0,
      })
      const dom = list.domains.find(({ name }) => name === 'one')!
      await client.call(procedures.domainOpenConsole, { dom, dev_name: undefined, flags: 0 })
      return list.ret
    }),
  )
  t.deepEqual(new Set(answers), new Set([3]))
  const { domains } = await first.call(procedures.connectListAllDomains, {
    need_results: 1,
    flags: 0,
  })
  await first.call(procedures.domainCreate, { dom: domains.find(({ id }) => id < 0)! })
  const isTold = ({ told }: LibvirtClient): boolean =>
    told.some(({ procedure }) => procedure === 318)
  t.true(await until(() => clients.every(isTold)))
  t.is((await census()).consoles, 100)
  for (const client of clients) client[Symbol.dispose]()
  for (const end = performance.now() + 5 * MINUTE; performance.now() < end;) {
    if ((await census()).counts['clients'] === 1) break
  }
  const after = await census()
  t.is(after.counts['clients'], 1)
  t.is(after.consoles, 0)
  t.is(after.files, before.files)
  t.deepEqual(after.stray, [])
})

test('a socket that listens already is served, as by socket activation', async (t) => {
  // An abstract one: it stays when who opened it closes it.
  const path = `\0vmexit-test-${process.pid}`
  const opener = createServer().listen(path)
  await once(opener, 'listening')
  const { fd } = (opener as unknown as Record<string, { fd: number }>)['_handle']!
  const { census } = await servedApart(t, { fd, path })
  opener.close()
  await once(opener, 'close')
  using client = await LibvirtClient.open(path)
  const list = await client.call(procedures.connectListAllDomains, { need_results: 1, flags: 0 })
  t.is(list.ret, 3)
  t.is((await census()).counts['clients'], 1)
})
