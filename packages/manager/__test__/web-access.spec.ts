// The web screen is for the browser that has opened its URL, and for no page of anyone else.
import { once } from 'node:events'

import { WebSocket } from 'ws'

import { kvmTest } from '../../../__test__/helpers/kvm.ts'
import { HttpDaemon, echoing, token } from './helpers/http-daemon.ts'

type Headers = Readonly<Record<string, string>>

/** A daemon with a screen, and what a browser says that was let in. */
async function entered(t: Parameters<typeof HttpDaemon.start>[0]) {
  const daemon = await HttpDaemon.start(t, '0')
  const { origin: url, port, pathname, search } = new URL(daemon.web)
  const answer = await daemon.ask({ url, path: pathname + search })
  t.is(answer.status, 303)
  const [said = ''] = [answer.headers['set-cookie'] ?? []].flat()
  return { daemon, url, port, path: pathname + search, answer, said, cookie: said.split(';')[0]! }
}

kvmTest('the URL lets one browser in, once, and gives it a cookie', async (t) => {
  const { daemon, url, port, path, answer, said, cookie } = await entered(t)
  t.is(answer.headers['location'], '/')
  t.regex(said, new RegExp(`^vmexit-${port}=[^;]+; HttpOnly; SameSite=Strict; Path=/$`))
  t.is(answer.headers['referrer-policy'], 'no-referrer')
  t.is(answer.headers['cache-control'], 'no-store')
  t.is((await daemon.ask({ url, path })).status, 403)
  t.is((await daemon.ask({ url, path: '/v1/machines', headers: { cookie } })).status, 200)
  // A further one is for who reaches the socket, and not for who is on the page.
  const further = await daemon.client.webUrl()
  t.not(further, daemon.web)
  t.is((await daemon.ask({ url, path: further.slice(url.length) })).status, 303)
  const asked = { url, path: '/v1/web-token', method: 'POST', headers: { cookie } }
  t.is((await daemon.ask(asked)).status, 403)
  // Of those that nobody opens only some are kept.
  const first = await daemon.client.webUrl()
  for (let count = 0; count < 16; count++) await daemon.client.webUrl()
  t.is((await daemon.ask({ url, path: first.slice(url.length) })).status, 403)
})

kvmTest('without the cookie, from elsewhere and by another name nothing is shown', async (t) => {
  const { daemon, url, port, cookie } = await entered(t)
  const forged = `${cookie.slice(0, -1)}${cookie.endsWith('0') ? '1' : '0'}`
  const asked: readonly (readonly [Headers, number])[] = [
    [{ cookie }, 200],
    [{ cookie: `a=b; ${cookie}; c=d`, host: `localhost:${port}` }, 200],
    [{ cookie, origin: url, 'sec-fetch-site': 'same-origin' }, 200],
    [{ cookie, 'sec-fetch-site': 'none' }, 200],
    [{}, 403],
    [{ authorization: `Bearer ${token}` }, 403],
    [{ cookie: `vmexit-${port}=` }, 403],
    [{ cookie: forged }, 403],
    [{ cookie: cookie.replace(port, '1') }, 403],
    [{ cookie, host: 'evil.example' }, 403],
    [{ cookie, host: `evil.example:${port}` }, 403],
    [{ cookie, host: `127.0.0.1.evil.example:${port}` }, 403],
    [{ cookie, host: '127.0.0.1:1' }, 403],
    [{ cookie, origin: 'http://evil.example' }, 403],
    [{ cookie, origin: 'null' }, 403],
    [{ cookie, origin: 'http://127.0.0.1:1' }, 403],
    [{ cookie, 'sec-fetch-site': 'cross-site' }, 403],
    [{ cookie, 'sec-fetch-site': 'same-site' }, 403],
  ]
  for (const [headers, status] of asked) {
    for (const path of ['/vendor/uplot/uPlot.esm.js', '/v1/machines']) {
      const answer = await daemon.ask({ url, path, headers })
      t.is(answer.status, status, `${path} ${JSON.stringify(headers)}`)
      t.true(String(answer.headers['content-security-policy']).startsWith("default-src 'none'"))
      t.is(answer.headers['x-content-type-options'], 'nosniff')
      t.is(answer.headers['referrer-policy'], 'no-referrer')
      t.false(Object.keys(answer.headers).some((name) => name.startsWith('access-control')))
    }
  }
})

kvmTest('a WebSocket is asked for the same', async (t) => {
  const { daemon, url, port, cookie } = await entered(t)
  await daemon.client.define(echoing(daemon, 'm'))
  await daemon.client.start('m')
  const status = async (headers: Headers): Promise<number> => {
    const socket = new WebSocket(`${url.replace('http', 'ws')}/v1/machines/m/serial`, { headers })
    socket.on('error', () => undefined)
    const found = await Promise.race([
      once(socket, 'open').then(() => 101),
      once(socket, 'unexpected-response').then(([, { statusCode }]) => Number(statusCode)),
    ])
    socket.terminate()
    return found
  }
  t.is(await status({ cookie, origin: url }), 101)
  for (const headers of [
    { origin: url },
    { cookie: `vmexit-${port}=0`, origin: url },
    { cookie, origin: 'http://evil.example' },
    { cookie, origin: 'null' },
    { cookie, origin: url, host: 'evil.example' },
    { cookie, host: `evil.example:${port}`, origin: `http://evil.example:${port}` },
    { cookie, origin: url, 'sec-fetch-site': 'cross-site' },
  ] as Headers[])
    t.is(await status(headers), 403, JSON.stringify(headers))
  t.true(await daemon.isIdle())
})

kvmTest(
  'files of the page are those that are there, and are sent again when they change',
  async (t) => {
    const { daemon, url, cookie } = await entered(t)
    const get = (path: string, headers: Headers = {}, method = 'GET') =>
      daemon.ask({ url, path, method, headers: { cookie, ...headers } })
    const found = await get('/vendor/novnc/core/rfb.js')
    t.is(found.status, 200)
    t.is(found.headers['content-type'], 'text/javascript; charset=utf-8')
    const etag = String(found.headers['etag'])
    const again = await get('/vendor/novnc/core/rfb.js', { 'if-none-match': etag })
    t.deepEqual([again.status, again.body.length], [304, 0])
    for (const name of ['xterm/LICENSE', 'xterm/xterm.mjs', 'novnc/LICENSE.txt', 'uplot/LICENSE'])
      t.is((await get(`/vendor/${name}`)).status, 200, name)
    for (const path of [
      '/package.json',
      '/../package.json',
      '/vendor/..%2f..%2findex.js',
      '/vendor',
    ])
      t.is((await get(path)).status, 404, path)
    t.is((await get('/vendor/xterm/xterm.css', {}, 'POST')).status, 405)
    t.is((await get('/vendor/xterm/xterm.css', {}, 'HEAD')).body.length, 0)
  },
)
