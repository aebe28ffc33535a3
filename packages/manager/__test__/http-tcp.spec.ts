// HTTP by TCP is for those who have the token, and for no page of a browser.
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

import { kvmTest } from '../../../__test__/helpers/kvm.ts'
import { ManagerError, connect } from '../src/client/index.ts'
import { rejects } from './helpers/errors.ts'
import { HttpDaemon, echoing, token } from './helpers/http-daemon.ts'

kvmTest('by TCP the token, the host and the origin are asked for', async (t) => {
  const daemon = await HttpDaemon.start(t)
  const { url } = daemon
  const authorization = `Bearer ${token}`
  const asked: readonly (readonly [Record<string, string>, number])[] = [
    [{ authorization }, 200],
    [{ authorization: `bearer ${token}`, host: 'localhost:1' }, 200],
    [{ authorization, origin: url }, 200],
    [{}, 401],
    [{ authorization: 'Bearer' }, 401],
    [{ authorization: token }, 401],
    [{ authorization: `Basic ${token}` }, 401],
    [{ authorization: `${authorization}x` }, 401],
    [{ authorization: authorization.slice(0, -1) }, 401],
    [{ authorization, host: 'evil.example' }, 403],
    [{ authorization, host: 'localhost.evil.example' }, 403],
    [{ authorization, host: '127.0.0.1@evil.example' }, 403],
    [{ authorization, origin: 'http://evil.example' }, 403],
    [{ authorization, origin: 'null' }, 403],
    [{ authorization, origin: `${url}1` }, 403],
  ]
  for (const [headers, status] of asked) {
    const answer = await daemon.ask({ url, headers })
    t.is(answer.status, status, JSON.stringify(headers))
    t.is(answer.headers['www-authenticate'] !== undefined, status === 401)
    t.false(Object.keys(answer.headers).some((name) => name.startsWith('access-control')))
    t.false(answer.body.includes(token))
  }
  t.is((await daemon.ask({ headers: { origin: 'http://localhost' } })).status, 403)
  const query = await daemon.ask({ url, path: `/v1/version?token=${token}` })
  t.is(query.status, 401)
})

kvmTest('a client by TCP can do what one at the socket can, but bring modules', async (t) => {
  const daemon = await HttpDaemon.start(t)
  const client = connect({ url: daemon.url, token })
  t.teardown(() => client.close())
  await client.define(echoing(daemon, 'm'))
  t.is((await client.start('m')).state, 'running')
  const console = await client.console('m')
  console.write('abc')
  let heard = ''
  for await (const chunk of console) if ((heard += chunk).includes('abc')) break
  t.is(heard, '>abc')
  await client.kill('m')
  mkdirSync(join(daemon.folder, 'code'))
  const module = join(daemon.folder, 'code', 'machine.mjs')
  writeFileSync(module, 'export default {}\n')
  const definition = { ...echoing(daemon, 'other'), module }
  const error = await rejects(t, 'ERR_FORBIDDEN', () => client.define(definition))
  t.regex(error.message, /--modules/)
  t.is((await daemon.client.define(definition)).state, 'defined')
})

kvmTest('without a daemon, or with a wrong token, the client says what to do', async (t) => {
  const daemon = await HttpDaemon.start(t)
  const stranger = connect({ url: daemon.url, token: 'x'.repeat(20) })
  for (const ask of [() => stranger.list(), () => stranger.console('m')])
    await rejects(t, 'ERR_FORBIDDEN', ask)
  await rejects(t, 'ERR_FORBIDDEN', () => stranger.events().next())
  const nowhere = connect({ socket: join(daemon.folder, 'none.sock') })
  for (const ask of [() => nowhere.list(), () => nowhere.console('m')]) {
    const error = await rejects(t, 'ERR_DAEMON', ask)
    t.regex(error.message, /none\.sock.*`vmexit daemon`/)
  }
  for (const url of ['https://127.0.0.1', 'http://127.0.0.1/v1', 'nonsense'])
    t.throws(() => connect({ url, token }), {
      instanceOf: ManagerError,
      code: 'ERR_INVALID_OPTION',
    })
})
