import { once } from 'node:events'
import { chmodSync, existsSync, mkdirSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { type AddressInfo, createServer } from 'node:net'
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import test from 'ava'

import {
  checkSocketPath,
  clearSocket,
  daemonSockets,
  groupPaths,
  isServed,
  machinePaths,
  makePrivateDirectory,
  runtimeDirectory,
  stateDirectory,
} from '../src/paths/index.ts'
import { fails, rejects } from './helpers/errors.ts'
import { temporary } from './helpers/folder.ts'

const around = (uid: number, env: Record<string, string> = {}) => ({ uid, env, home: '/home/u' })

test('the state directory is where XDG says, or a usual place', (t) => {
  const cases: [string, ReturnType<typeof around>][] = [
    ['/x/vmexit', around(0, { XDG_STATE_HOME: '/x' })],
    ['/x/vmexit', around(1000, { XDG_STATE_HOME: '/x' })],
    ['/var/lib/vmexit', around(0)],
    ['/home/u/.local/state/vmexit', around(1000)],
    ['/home/u/.local/state/vmexit', around(1000, { XDG_STATE_HOME: '' })],
    ['/home/u/.local/state/vmexit', around(1000, { XDG_STATE_HOME: 'relative' })],
  ]
  for (const [path, surroundings] of cases) t.is(stateDirectory(undefined, surroundings), path)
  t.is(stateDirectory('/given'), '/given')
  t.is(stateDirectory('given'), join(process.cwd(), 'given'))
  for (const bad of ['', 'a\0b']) fails(t, 'ERR_INVALID_OPTION', () => stateDirectory(bad))
})

test('the runtime directory is where XDG says; a user without a session is told what to do', (t) => {
  t.is(runtimeDirectory(undefined, around(1000, { XDG_RUNTIME_DIR: '/run/u' })), '/run/u/vmexit')
  t.is(runtimeDirectory(undefined, around(0)), '/run/vmexit')
  for (const env of [{}, { XDG_RUNTIME_DIR: 'run' }, { XDG_RUNTIME_DIR: '' }])
    t.regex(
      fails(t, 'ERR_SOCKET', () => runtimeDirectory(undefined, around(1000, env as {}))).message,
      /XDG_RUNTIME_DIR.*--runtime/,
    )
})

test('a directory is made for this user only', async (t) => {
  const path = join(temporary(t), 'a/b')
  await makePrivateDirectory(path, '--runtime')
  await makePrivateDirectory(path, '--runtime')
  t.is(statSync(path).mode & 0o777, 0o700)
  t.is(statSync(join(path, '..')).mode & 0o777, 0o700)
})

test('a directory that others can write, or have, is refused with a remedy', async (t) => {
  const folder = temporary(t)
  const path = join(folder, 'a')
  mkdirSync(path)
  for (const mode of [0o770, 0o702, 0o777, 0o1777]) {
    chmodSync(path, mode)
    const { message } = await rejects(t, 'ERR_FORBIDDEN', () =>
      makePrivateDirectory(path, '--runtime'),
    )
    t.regex(message, /can be written by others.*chmod 0700 .*--runtime DIR/)
  }
  chmodSync(path, 0o755)
  await makePrivateDirectory(path, '--runtime')
  symlinkSync(path, join(folder, 'link'))
  await makePrivateDirectory(join(folder, 'link'), '--runtime')
  writeFileSync(join(folder, 'file'), '')
  symlinkSync('nowhere', join(folder, 'dangling'))
  await rejects(t, 'ERR_FORBIDDEN', () => makePrivateDirectory(join(folder, 'file'), '--runtime'))
  for (const name of ['dangling', 'dangling/below', 'file/below'])
    await rejects(t, 'ERR_STORE', () => makePrivateDirectory(join(folder, name), '--runtime'))
  await rejects(t, 'ERR_STORE', () => makePrivateDirectory('/proc/vmexit', '--runtime'))
})

test('a directory of another user is refused', async (t) => {
  if (process.geteuid?.() !== 0) {
    t.log('skipped: only root can give a directory to another user')
    t.pass()
    return
  }
  const path = join(temporary(t), 'a')
  mkdirSync(path, { mode: 0o700 })
  spawnSync('chown', ['65534', path])
  const { message } = await rejects(t, 'ERR_FORBIDDEN', () => makePrivateDirectory(path, '--state'))
  t.regex(message, /belongs to user 65534, and this process to user 0.*--state DIR/)
})

test('sockets lie below the runtime directory', (t) => {
  t.deepEqual(daemonSockets('/r'), { api: '/r/api.sock', libvirt: '/r/libvirt.sock' })
  t.deepEqual(machinePaths('/r', 'm'), {
    folder: '/r/m',
    control: '/r/m/control.sock',
    serial: '/r/m/serial.sock',
    screen: '/r/m/screen.sock',
    pid: '/r/m/pid',
    end: '/r/m/end.json',
  })
  t.deepEqual(groupPaths('/r', 'g'), {
    folder: '/r/.group-g',
    control: '/r/.group-g/control.sock',
    pid: '/r/.group-g/pid',
  })
})

test('a path of 107 bytes is a socket, and one of 108 an error that says so', async (t) => {
  const folder = temporary(t)
  const path = join(folder, 'x'.repeat(107 - folder.length - 1))
  t.is(checkSocketPath(path), path)
  const server = createServer().listen(path)
  t.teardown(() => server.close())
  await once(server, 'listening')
  t.is(server.address() as unknown as AddressInfo, path as never)
  const { message } = fails(t, 'ERR_SOCKET', () => checkSocketPath(`${path}x`))
  t.regex(message, /at most 107 bytes, .* has 108: choose a shorter name.*--runtime DIR/)
  fails(t, 'ERR_SOCKET', () => checkSocketPath('ä'.repeat(54)))
  fails(t, 'ERR_SOCKET', () => machinePaths('/run/user/1000/vmexit'.repeat(2), 'm'.repeat(63)))
  t.notThrows(() => machinePaths('/run/user/1000/vmexit', 'm'.repeat(63)))
})

test('a socket that nobody serves makes way, and one that is served does not', async (t) => {
  const folder = temporary(t)
  const path = join(folder, 's')
  await clearSocket(path)
  t.false(await isServed(path))
  const server = createServer((socket) => socket.destroy()).listen(path)
  t.teardown(() => server.close())
  await once(server, 'listening')
  t.true(await isServed(path))
  t.regex((await rejects(t, 'ERR_SOCKET', () => clearSocket(path))).message, /served by another/)
  t.true(existsSync(path))
  // Killed, a process leaves its socket over.
  const left = join(folder, 'left')
  const script = `require('net').createServer().listen(${JSON.stringify(left)}, () => process.kill(process.pid, 9))`
  spawnSync(process.execPath, ['-e', script])
  t.true(existsSync(left))
  t.false(await isServed(left))
  await clearSocket(left)
  t.false(existsSync(left))
  writeFileSync(left, 'precious')
  t.regex((await rejects(t, 'ERR_SOCKET', () => clearSocket(left))).message, /no socket/)
  t.true(existsSync(left))
  await rejects(t, 'ERR_SOCKET', () => clearSocket(join(folder, 'x'.repeat(108))))
})
