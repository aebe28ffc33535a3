// The web screen from the command line: where it is, who may see it, and what outlives a daemon.
import { once } from 'node:events'
import { rmSync } from 'node:fs'
import { type AddressInfo, createServer } from 'node:net'
import { join } from 'node:path'

import test from 'ava'

import { kvmTest } from '../../../__test__/helpers/kvm.ts'
import { Browser, browserTest, state, text } from './helpers/browser.ts'
import { Bench } from './helpers/command.ts'
import { machine } from './helpers/guests.ts'

/** Opens a URL as a browser does; what it says from then on. */
async function enter(url: string): Promise<{ readonly origin: string; readonly cookie: string }> {
  const answer = await fetch(url, { redirect: 'manual' })
  const said = answer.headers.get('set-cookie') ?? ''
  return { origin: new URL(url).origin, cookie: said.split(';')[0]! }
}

/** The status of what a browser asks. */
async function asks(origin: string, cookie: string, path = '/v1/machines'): Promise<number> {
  const answer = await fetch(origin + path, { headers: { cookie } })
  await answer.arrayBuffer()
  return answer.status
}

test('daemon --web says where the screen is, and web prints one more URL of it', async (t) => {
  const bench = new Bench(t)
  const said = await bench.startDaemonAsText('--web')
  const [, printed = ''] = /^web +(http:\/\/127\.0\.0\.1:\d+\/\?token=\S+)$/m.exec(said) ?? []
  const first = await enter(printed)
  t.is(await asks(first.origin, first.cookie, '/'), 200)
  t.is((await fetch(printed, { redirect: 'manual' })).status, 403)
  const one = (await bench.done('web')).trim()
  const [code, document] = await bench.json(['web'])
  t.is(code, 0)
  t.is(new Set([printed, one, document.url]).size, 3)
  for (const url of [one, document.url]) {
    const { origin, cookie } = await enter(url)
    t.is(origin, first.origin)
    t.is(await asks(origin, cookie), 200)
  }
})

test('without --web there is no screen, and web says so', async (t) => {
  const bench = new Bench(t)
  const document = await bench.startDaemon()
  t.is(document.web, undefined)
  const { code, stdout, stderr } = await bench.run(['web'])
  t.deepEqual([code, stdout.toString()], [1, ''])
  t.regex(stderr, /--web/)
})

test('a browser is known to the next daemon at the same port, until the key is gone', async (t) => {
  const bench = new Bench(t)
  const { web } = await bench.startDaemon('--web')
  const { origin, cookie } = await enter(web)
  const place = new URL(web).host
  for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
    await bench.endDaemon(signal)
    await t.throwsAsync(asks(origin, cookie))
    await bench.startDaemon('--web', place)
    t.is(await asks(origin, cookie), 200)
  }
  await bench.endDaemon()
  rmSync(join(bench.runtime, 'web.key'))
  const { web: fresh } = await bench.startDaemon('--web', place)
  t.is(await asks(origin, cookie), 403)
  const again = await enter(fresh)
  t.is(await asks(origin, again.cookie), 200)
})

test('a place that is not the loopback is refused', async (t) => {
  const bench = new Bench(t)
  const places = [
    ...['0.0.0.0:8080', '192.168.0.1:8080', '[::]:8080', '[::1]:8080', 'example.com:8080'],
    ...['127.0.0.1', 'localhost', '127.0.0.1:', ':8080', '127.0.0.1:99999', '127.0.0.1:-1'],
    ...['127.0.0.1:80:80', '127.0.0.1.example.com:80', 'http://127.0.0.1:80', '127.0.0.1:8e1'],
  ]
  const ran = await Promise.all(
    places.map((place) => bench.run(['daemon', '--state', bench.state, '--web', place])),
  )
  for (const [at, { code, stderr }] of ran.entries()) {
    t.is(code, 2, places[at])
    t.regex(stderr, /--web takes 127\.0\.0\.1:PORT, and no other host/, places[at])
  }
})

test('a port that is taken is said to be, and nothing is left', async (t) => {
  const other = createServer().listen(0, '127.0.0.1')
  t.teardown(() => other.close())
  await once(other, 'listening')
  const { port } = other.address() as AddressInfo
  const bench = new Bench(t)
  const ran = await bench.run(['daemon', '--state', bench.state, '--web', `${port}`])
  t.is(ran.code, 1)
  t.regex(ran.stderr, new RegExp(`port ${port} of 127\\.0\\.0\\.1 is taken`))
  // The next one is not disturbed.
  const { web } = await bench.startDaemon('--web')
  t.is((await enter(web)).cookie === '', false)
})

browserTest('a page says that its daemon was killed, and goes on with the next one', async (t) => {
  t.timeout(900_000)
  const bench = new Bench(t)
  const { web } = await bench.startDaemon('--web')
  await bench.done('define', bench.file('m.json', machine('m', 'echo')))
  await bench.done('start', 'm')
  const browser = await Browser.open(t, web)
  await browser.until(t, `${state('m')} === 'running'`)
  await browser.page.evaluate(`location.hash = '#/m'`)
  await browser.until(t, `${text('.xterm-rows')}?.includes('ok')`)
  const banner = `document.getElementById('banner')`
  t.true(await browser.page.evaluate(`${banner}.hidden`))
  await bench.endDaemon('SIGKILL')
  await browser.until(t, `!${banner}.hidden && ${banner}.textContent.includes('out of date')`)
  await browser.until(t, `${text('.says')} === 'Not connected.'`)
  await bench.startDaemon('--web', new URL(web).host)
  await browser.until(t, `${banner}.hidden`)
  await browser.until(t, `${text('.says')}.startsWith('Connected')`)
  await browser.page.evaluate(`document.querySelector('.xterm textarea').focus()`)
  await browser.type('still here')
  await browser.until(t, `${text('.xterm-rows')}.replaceAll('\\u00a0', ' ').includes('still here')`)
})

kvmTest('browsers do not keep a daemon from ending', async (t) => {
  const bench = new Bench(t)
  const { web } = await bench.startDaemon('--web')
  const { origin, cookie } = await enter(web)
  const stream = await fetch(`${origin}/v1/events`, { headers: { cookie } })
  t.is(await bench.endDaemon(), 0)
  t.true((await stream.text()).includes('the daemon ends'))
})
