// One stream of what all machines do, asked once for all who listen.
import { once } from 'node:events'
import { type IncomingMessage, request } from 'node:http'

import { kvmTest } from '../../../__test__/helpers/kvm.ts'
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
