// Where a screen is served: a Unix socket of this user only, or a port of the loopback with a
// password.
import { execFileSync, spawn } from 'node:child_process'
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'

import test, { type ExecutionContext } from 'ava'

import { type ListenOptions, type ScreenServer, listen } from '../src/machine/rfb/listen.ts'
import { RfbClient } from './fixtures/rfb-client.ts'
import { NotedKeys, PaintedScreen } from './fixtures/rfb-screen.ts'
import { until } from './fixtures/until.ts'
import { vmError } from './helpers/machine.ts'

function folder(t: ExecutionContext): string {
  const made = mkdtempSync(join(tmpdir(), 'rfb-'))
  t.teardown(() => rmSync(made, { recursive: true, force: true }))
  return made
}

async function serve(t: ExecutionContext, options: unknown): Promise<ScreenServer> {
  const service = { screen: new PaintedScreen(64, 16), keyboard: new NotedKeys(), name: 'painted' }
  const server = await listen(service, options as ListenOptions)
  t.teardown(() => server.close())
  return server
}

test('a socket is for its user only, and is gone after close()', async (t) => {
  const at = folder(t)
  const path = join(at, 'screen')
  const server = await serve(t, { path })
  t.is(server.address, path)
  t.true(lstatSync(path).isSocket())
  t.is(lstatSync(path).mode & 0o777, 0o600)
  t.deepEqual(readdirSync(at), ['screen'])
  using client = await RfbClient.open(path)
  t.is(server.viewers, 1)
  await server.close()
  await client.dropped()
  await server.close()
  t.deepEqual(readdirSync(at), [])
  await t.throwsAsync(RfbClient.open(path))
})

test('a socket may be named by a URL, and `await using` closes it', async (t) => {
  const path = join(folder(t), 'screen')
  {
    await using server = await serve(t, { path: pathToFileURL(path) })
    t.is(server.address, path)
  }
  t.false(existsSync(path))
})

test('what a process that is gone has left is replaced', async (t) => {
  const path = join(folder(t), 'screen')
  const script = `require('net').createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, 'SIGKILL'))`
  t.throws(() => execFileSync(process.execPath, ['-e', script], { stdio: 'ignore' }))
  t.true(existsSync(path))
  await serve(t, { path })
  using client = await RfbClient.open(path)
  t.is(client.width, 64)
})

test('a socket on which somebody listens is left alone, and so is a file', async (t) => {
  const at = folder(t)
  const path = join(at, 'screen')
  const first = await serve(t, { path })
  await t.throwsAsync(serve(t, { path }), vmError('ERR_INVALID_OPTION', /path: .*screen is in use/))
  using client = await RfbClient.open(first.address)
  t.is(client.width, 64)
  const file = join(at, 'file')
  writeFileSync(file, 'kept')
  const link = join(at, 'link')
  symlinkSync(path, link)
  for (const other of [file, link, at]) {
    await t.throwsAsync(serve(t, { path: other }), vmError('ERR_INVALID_OPTION', /is no socket/))
  }
  t.deepEqual(readdirSync(at).toSorted(), ['file', 'link', 'screen'])
})

test('a socket that took the place of ours stays at close()', async (t) => {
  const path = join(folder(t), 'screen')
  const server = await serve(t, { path })
  rmSync(path)
  const other = createServer()
  await new Promise<void>((resolve) => other.listen(path, resolve))
  await server.close()
  t.true(existsSync(path))
  other.close()
})

test('a folder that is absent, or forbidden, and a path too long are named', async (t) => {
  const at = folder(t)
  await t.throwsAsync(
    serve(t, { path: join(at, 'absent', 'screen') }),
    vmError('ERR_INVALID_OPTION', /path: no socket can be made at .*ENOENT.*; name one/),
  )
  const long = join(at, 'x'.repeat(90))
  mkdirSync(long)
  await t.throwsAsync(
    serve(t, { path: join(long, 'screen') }),
    vmError('ERR_INVALID_OPTION', /too long for a socket.*at most 107/),
  )
  await t.throwsAsync(
    serve(t, { path: join(at, 'y'.repeat(100)) }),
    vmError('ERR_INVALID_OPTION', /too long for a socket/),
  )
  t.deepEqual(readdirSync(long), [])
  if (process.getuid?.() === 0) return t.log('skipped: forbidden folders: root may do everything')
  chmodSync(long, 0o500)
  await t.throwsAsync(serve(t, { path: join(long, 's') }), vmError('ERR_INVALID_OPTION', /EACCES/))
})

/** A refusal takes a second, and a timer may be early by less than one. */
const leastMs = 900

test('a port is on the loopback, and asks for the password', async (t) => {
  const server = await serve(t, { port: 0, password: 'secret' })
  t.regex(server.address, /^127\.0\.0\.1:\d+$/)
  for (const minor of [3, 7, 8]) {
    using client = await RfbClient.open(server.address, minor, 'secret')
    t.is(client.width, 64)
  }
  let admittedMs = Infinity
  // A busy host may hold this process up; a wait of ours is there each time.
  for (let round = 0; admittedMs >= leastMs && round < 20; round++) {
    const begin = performance.now()
    const refused = [8, 7, 3].map(async (minor) => {
      using client = new RfbClient(server.address)
      const reason = await client.admit(minor, 'secre')
      await client.dropped()
      return reason
    })
    using other = await RfbClient.open(server.address, 8, 'secret')
    admittedMs = performance.now() - begin
    t.deepEqual(await Promise.all(refused), ['wrong password', 'refused', 'refused'])
    t.true(performance.now() - begin > leastMs)
    t.is(other.width, 64)
  }
  t.true(admittedMs < leastMs, 'others do not wait')
})

test('a viewer that takes another security type than the one offered is dropped', async (t) => {
  const server = await serve(t, { port: 0, password: 'secret' })
  using client = new RfbClient(server.address)
  await client.read(12)
  client.send(Buffer.from('RFB 003.008\n'))
  t.deepEqual([...(await client.read(2))], [1, 2])
  client.send(Buffer.of(1, 1))
  await client.dropped()
  t.is(server.viewers, 0)
})

test('a port that is taken is named', async (t) => {
  const server = await serve(t, { port: 0, password: 'secret' })
  const port = Number(server.address.split(':')[1])
  await t.throwsAsync(
    serve(t, { port, password: 'secret' }),
    vmError('ERR_INVALID_OPTION', new RegExp(`port: 127.0.0.1:${port} is in use; 0 finds`)),
  )
})

const wrong: Record<string, [unknown, RegExp]> = {
  nothing: [undefined, /options must be an object/],
  'no path and no port': [{}, /a path, or a port and a password/],
  'a port without a password': [{ port: 0 }, /password must be 1 to 8 characters.*got undefined/],
  'an empty password': [{ port: 0, password: '' }, /got 0 characters/],
  'a long password': [{ port: 0, password: 'correct horse' }, /got 13 characters.*end after 8/],
  'a password that is no text': [{ port: 0, password: 12_345 }, /got 12345/],
  'a password outside ASCII': [{ port: 0, password: 'pässword' }, /from space to ~/],
  'both a path and a port': [{ path: '/x', port: 0 }, /path: .*leave out port/],
  'a path with a password': [{ path: '/x', password: 'x' }, /path: .*leave out password/],
  'an empty path': [{ path: '' }, /path must be a path/],
  'a port too large': [{ port: 65_536, password: 'x' }, /port must be a whole number/],
  'a host': [{ host: '0.0.0.0', port: 1, password: 'x' }, /unknown 'host'/],
}
for (const [title, [options, message]] of Object.entries(wrong)) {
  test(`wrong options: ${title}`, async (t) => {
    const error = await t.throwsAsync(serve(t, options), vmError('ERR_INVALID_OPTION', message))
    t.false(/horse|pässword/.test(error?.message ?? ''), 'no message has a password')
  })
}

test('a server keeps no process alive, and its viewers neither', async (t) => {
  const path = join(folder(t), 'screen')
  const modules = ['../src/machine/rfb/listen.ts', './fixtures/rfb-screen.ts'].map((name) =>
    JSON.stringify(new URL(name, import.meta.url).href),
  )
  const script = `
    import { listen } from ${modules[0]}
    import { NotedKeys, PaintedScreen } from ${modules[1]}
    const service = { screen: new PaintedScreen(64, 16), keyboard: new NotedKeys(), name: 'x' }
    const server = await listen(service, { path: ${JSON.stringify(path)} })
    const timer = setInterval(() => server.viewers === 1 && clearInterval(timer), 1)`
  const child = spawn(process.execPath, [
    ...['--import', import.meta.resolve('@oxc-node/core/register')],
    ...['--input-type=module', '-e', script],
  ])
  const ended = new Promise((resolve) => child.on('close', resolve))
  t.true(await until(() => existsSync(path)))
  using client = await RfbClient.open(path)
  t.is(await ended, 0)
  await client.dropped()
})
