// One stream of what all machines do, asked once for all who listen.
import { once } from 'node:events'
import { type ClientRequest, type IncomingMessage, request } from 'node:http'

import { kvmTest } from '../../../__test__/helpers/kvm.ts'
import test from 'ava'

import { serveHttp } from '../src/http/server.ts'
import type { Supervisor } from '../src/supervisor/interface.ts'
import { HttpDaemon, echoing } from './helpers/http-daemon.ts'

/** The data of a stream, one after another. */
async function* heard(response: IncomingMessage) {
  let text = ''
  for await (const chunk of response) {
    text += chunk
    for (let end = text.indexOf('\n\n'); end >= 0; end = text.indexOf('\n\n')) {
      const [, data] = /^event: stats\ndata: (.*)$/m.exec(text.slice(0, end)) ?? []
      text = text.slice(end + 2)
      if (data !== undefined) yield JSON.parse(data)
    }
  }
}

kvmTest('rates of the machines that run are streamed, and only while they run', async (t) => {
  const daemon = await HttpDaemon.start(t)
  const { client } = daemon
  t.is((await daemon.ask({ path: '/v1/stats?interval=1' })).status, 400)
  const asked = request({ socketPath: daemon.api, path: '/v1/stats?interval=1000' }).end()
  const [response] = await once(asked, 'response')
  t.is(response.headers['content-type'], 'text/event-stream')
  t.is((await daemon.counts())['httpStatsStreams'], 1)
  await client.define(echoing(daemon, 'm'))
  await client.start('m')
  const console = await client.console('m')
  console.on('error', () => undefined).resume()
  let isKilled = false
  let isSeen = false
  for await (const { at, machines } of heard(response)) {
    t.false(Number.isNaN(Date.parse(at)))
    const rates = machines['m']
    if (isKilled && rates === undefined) break
    if (!isKilled) console.write('x'.repeat(16))
    if (isSeen || !rates || rates.exitsPerSecond === 0) continue
    isSeen = true
    t.true(rates.cpu >= 0)
    t.true(rates.rssBytes > 0)
    t.true(rates.memoryBytes > 0)
    const sum = Object.values<number>(rates.exitsByReason).reduce((all, each) => all + each, 0)
    t.true(Math.abs(sum - rates.exitsPerSecond) < 1e-6 * sum)
    t.true(rates.routes.every(({ route }: { route: unknown }) => typeof route === 'string'))
    console.destroy()
    await client.kill('m')
    isKilled = true
  }
  t.true(isSeen)
  asked.destroy()
  t.true(await daemon.isIdle())
  t.is((await daemon.counts())['httpStatsStreams'], 0)
})

/** The blocks of a stream, one after another. */
async function* blocks(response: IncomingMessage) {
  let text = ''
  for await (const chunk of response) {
    const found = (text + chunk).split('\n\n')
    text = found.pop()!
    yield* found
  }
}

kvmTest('events and rates come in one stream, which goes on after the last event', async (t) => {
  const daemon = await HttpDaemon.start(t)
  const { client } = daemon
  const listen = async (headers: Record<string, string> = {}) => {
    const asked = request({ socketPath: daemon.api, path: '/v1/live?since=0', headers }).end()
    t.teardown(() => asked.destroy())
    const [response] = await once(asked, 'response')
    return { asked, response, said: blocks(response) }
  }
  const { asked, said } = await listen()
  await client.define(echoing(daemon, 'm'))
  await client.start('m')
  const types: string[] = []
  let [last, hasRates] = [0, false]
  while (!hasRates || !types.includes('running')) {
    const { value = '' } = await said.next()
    const [, id = String(last)] = /^id: (\d+)$/m.exec(value) ?? []
    const data = JSON.parse(/^data: (.*)$/m.exec(value)?.[1] ?? '{}')
    last = Number(id)
    if (value.startsWith('event: stats\n')) hasRates ||= data.machines.m?.rssBytes > 0
    else if (data.type) types.push(data.type)
  }
  t.deepEqual(types, ['defined', 'starting', 'running'])
  const counts = await daemon.counts()
  t.deepEqual([counts['httpEventStreams'], counts['httpStatsStreams']], [1, 1])
  asked.destroy()
  await client.kill('m')
  const again = await listen({ 'last-event-id': String(last) })
  for (let type: unknown; type === undefined;) {
    const { value = '' } = await again.said.next()
    type = JSON.parse(/^data: (.*)$/m.exec(value)?.[1] ?? '{}').type
    if (type !== undefined) t.true(['stopping', 'ended'].includes(String(type)), String(type))
  }
  again.asked.destroy()
  t.true(await daemon.isIdle())
  t.is((await daemon.counts())['httpStatsStreams'], 0)
  // Events that are no longer kept, and what is no number.
  const gone = { path: '/v1/live', headers: { 'last-event-id': String(last + 1000) } }
  t.is((await daemon.ask(gone)).status, 410)
  t.is((await daemon.ask({ path: '/v1/live?since=-1' })).status, 400)
  t.true(await daemon.isIdle())
})

/** Two machines, of which one never answers, and how often each was asked. */
function twoMachines() {
  const asked = { quick: 0, stuck: 0 }
  const rest = {
    memoryBytes: 1,
    rssBytes: 1,
    vcpus: 1,
    routes: [{ route: 'r', reads: 1, writes: 0 }],
  }
  const stats = (name: 'quick' | 'stuck') => {
    const count = (asked[name] += 1)
    if (name === 'stuck') return new Promise(() => undefined)
    const at = new Date(count * 2000).toISOString()
    const exits = count * 10
    return Promise.resolve({
      at,
      cpuMs: count * 1000,
      exits,
      exitsByReason: { hlt: exits },
      ...rest,
    })
  }
  const list = () => Object.keys(asked).map((name) => ({ name, state: 'running' }))
  return { asked, supervisor: { list, stats, lastSeq: 0 } as unknown as Supervisor }
}

test('each machine is asked once for all who listen, and one that is stuck holds up none', async (t) => {
  const { asked, supervisor } = twoMachines()
  const path = `/tmp/vmx-stats-${process.pid}.sock`
  const end = await serveHttp({ supervisor, version: '0' }, { path })
  t.teardown(() => end.close())
  const requests: ClientRequest[] = []
  const began = performance.now()
  t.teardown(() => requests.forEach((each) => each.destroy()))
  const listen = async (): Promise<unknown> => {
    const asks = request({ socketPath: path, path: '/v1/stats', agent: false }).end()
    requests.push(asks)
    const [response] = await once(asks, 'response')
    asks.on('error', () => undefined)
    let rounds = 0
    for await (const { machines: found } of heard(response))
      if (found.quick && (rounds += 1) === 3) return found
    return undefined
  }
  const all = await Promise.all(Array.from({ length: 50 }, listen))
  // Each round is 2 seconds by the machine's clock.
  const rates = {
    ...{ cpu: 0.5, rssBytes: 1, memoryBytes: 1, exitsPerSecond: 5 },
    ...{ exitsByReason: { hlt: 5 }, routes: [{ route: 'r', perSecond: 0 }] },
  }
  for (const found of all) t.deepEqual(found, { quick: rates })
  const seconds = (performance.now() - began) / 1000
  t.true(asked.quick <= seconds + 2, `${asked.quick} in ${seconds} s`)
  t.is(asked.stuck, 1)
})
