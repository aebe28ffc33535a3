// The process of a machine: its life from `start` to `end.json`.
import { existsSync, readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'

import test from 'ava'

import { kvmTest } from '../../../__test__/helpers/kvm.ts'
import { Places, echo, spin, startParams } from './helpers/machine-process.ts'

const serial: typeof kvmTest = (title, body) => kvmTest(title, body, test.serial)

serial('a machine starts, says and reads text on its serial socket, and ends', async (t) => {
  const places = new Places(t)
  const definition = places.definition('m', echo, { routes: [{ port: '0xf4', to: 'stop' }] })
  const { child, control, started } = await places.start(definition)
  t.deepEqual(started, { serial: join(places.runtime, 'm', 'serial.sock') })
  const console = await places.serial('m')
  t.true(await console.until('ready\n'))
  console.socket.write('abc')
  t.true(await console.until('abc'))
  const status = await control.request('status')
  t.is(status['state'], 'running')
  t.deepEqual(status['definition'], definition)
  console.socket.write('q')
  t.deepEqual(await control.event('ended'), {
    event: 'ended',
    state: 'ended',
    reason: 'exit-port',
    exitCode: 42,
  })
  t.is(await child.gone(), 0)
  t.is(child.stderr, '')
  t.deepEqual(places.end('m'), { state: 'ended', reason: 'exit-port', exitCode: 42 })
  t.deepEqual(readdirSync(join(places.runtime, 'm')), ['end.json'])
  t.is(readFileSync(join(places.state, 'machines', 'm', 'console.log'), 'latin1'), 'ready\nabc')
})

serial('kill ends a machine that would never end', async (t) => {
  const places = new Places(t)
  const { child, control } = await places.start(places.definition('m', spin))
  t.deepEqual(await control.request('kill'), {})
  t.is((await control.event('ended'))?.['reason'], 'stopped')
  t.is(await child.gone(), 0)
  t.deepEqual(places.end('m'), { state: 'ended', reason: 'stopped' })
})

serial('a start that fails answers with the reason and leaves nothing behind', async (t) => {
  const places = new Places(t)
  const child = await places.begin('--name', 'm')
  const control = await places.control('m')
  const definition = { ...places.definition('m', spin), payload: { file: '/nowhere/image' } }
  const error = await t.throwsAsync(control.request('start', startParams(definition)))
  t.like(error, { code: 'ERR_PAYLOAD' })
  t.regex(error!.message, /nowhere/)
  t.is(await child.gone(), 1)
  t.false(existsSync(join(places.runtime, 'm')))
})
