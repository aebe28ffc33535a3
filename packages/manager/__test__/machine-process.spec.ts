// The process of machines: what it outlives, what ends it, and several machines in one.
import { existsSync, readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'

import test from 'ava'

import { until } from '../../../__test__/fixtures/until.ts'
import { kvmTest } from '../../../__test__/helpers/kvm.ts'
import { Client, Places, echo, spin, startParams } from './helpers/machine-process.ts'

const serial: typeof kvmTest = (title, body) => kvmTest(title, body, test.serial)

/** Writes what it is asked to where nobody may read any more. */
const loud = `export default () => ({
  routes: [{ port: 0xe9, device: { write: () => console.error('x'.repeat(1000)) } }],
})`

serial('closed pipes and SIGHUP end nothing, SIGTERM ends the machine in order', async (t) => {
  const places = new Places(t)
  // 1: mov al, 1; out 0xe9, al; jmp 1b
  const module = places.file('loud.mjs', loud)
  const definition = places.definition('m', 'b0 01 e6 e9 eb fc', { module })
  const { child, control } = await places.start(definition)
  child.child.stdout!.destroy()
  child.child.stderr!.destroy()
  process.kill(child.pid, 'SIGHUP')
  const exitsOf = async (): Promise<number> => Number((await control.request('stats'))['exits'])
  const before = await exitsOf()
  let exits = before
  t.true(
    await until(
      () => exits > before,
      undefined,
      async () => (exits = await exitsOf()),
    ),
  )
  control.close()
  const again = await places.control('m')
  t.is((await again.request('status'))['state'], 'running')
  process.kill(child.pid, 'SIGTERM')
  t.like(await again.event('ended'), { state: 'ended', reason: 'stopped' })
  t.is(await child.gone(), 0)
  t.deepEqual(places.end('m'), { state: 'ended', reason: 'stopped' })
})

serial('a pid file tells which process it is', async (t) => {
  const places = new Places(t)
  const { child } = await places.start(places.definition('m', spin))
  const { pid, startTime } = JSON.parse(readFileSync(join(places.runtime, 'm', 'pid'), 'utf8'))
  const stat = readFileSync(`/proc/${child.pid}/stat`, 'latin1')
  t.is(pid, child.pid)
  t.is(String(startTime), stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]!)
})

serial('what ends a machine against its will is told as a crash', async (t) => {
  const places = new Places(t)
  const ends: Record<string, { listing: string; more: object; reason: string | RegExp }> = {
    // mov al, 1; out 0x10, al: nobody claims the port.
    unclaimed: { listing: 'b0 01 e6 10', more: {}, reason: 'pio-out' },
    handler: {
      listing: 'b0 01 e6 e9',
      more: {
        module: places.file(
          'throws.mjs',
          `export default () => ({ routes: [{ port: 0xe9, device: { write() { throw new Error('no such tape') } } }] })`,
        ),
      },
      reason: /no such tape/,
    },
    later: {
      listing: spin,
      more: {
        module: places.file(
          'later.mjs',
          `export default () => { setTimeout(() => { throw new Error('too late') }, 50); return {} }`,
        ),
      },
      reason: /too late/,
    },
  }
  for (const [name, { listing, more, reason }] of Object.entries(ends)) {
    const { child } = await places.start(places.definition(name, listing, more))
    t.is(await child.gone(), 0, name)
    const end = places.end(name) as { state: string; reason: string }
    t.is(end.state, 'crashed', name)
    if (typeof reason === 'string') t.is(end.reason, reason)
    else t.regex(end.reason, reason)
  }
  t.regex((places.end('unclaimed') as { crash: { sentence: string } }).crash.sentence, /port 0x10/)
})

serial(
  'machines of a group end and fail each for itself, the last one ends the process',
  async (t) => {
    const places = new Places(t)
    const child = await places.begin('--group', 'g')
    const group = await Client.open(join(places.runtime, '.group-g', 'control.sock'))
    const controls = new Map<string, Client>()
    for (const name of ['one', 'two', 'three']) {
      await group.request('start', startParams(places.definition(name, echo)))
      controls.set(name, await places.control(name))
    }
    const module = places.file('bad.mjs', `export default () => { throw new Error('bad tape') }`)
    const bad = startParams(places.definition('bad', spin, { module }))
    await t.throwsAsync(group.request('start', bad), { code: 'ERR_HANDLER', message: /bad tape/ })
    t.false(existsSync(join(places.runtime, 'bad')))
    await t.throwsAsync(group.request('start', startParams(places.definition('one', echo))), {
      code: 'ERR_EXISTS',
    })
    await t.throwsAsync(group.request('kill'), { code: 'ERR_NOT_SUPPORTED' })
    const throwing = places.file(
      'throws.mjs',
      `export default () => ({ routes: [{ port: 0xe9, device: { write() { throw new Error('no such tape') } } }] })`,
    )
    const crash = places.definition('crash', 'b0 01 e6 e9', { module: throwing })
    await group.request('start', startParams(crash))
    await controls.get('one')!.request('kill')
    await controls.get('one')!.event('ended')
    const console = await places.serial('two')
    t.true(await console.until('ready\n'))
    console.socket.write('hello')
    t.true(await console.until('hello'))
    const { machines } = await group.request('status')
    const names = (machines as { name: string }[]).map(({ name }) => name)
    t.deepEqual(
      names.filter((name) => name !== 'crash' && name !== 'one'),
      ['two', 'three'],
    )
    for (const name of ['two', 'three']) await controls.get(name)!.request('kill')
    t.is(await child.gone(), 0)
    t.deepEqual(places.end('one'), { state: 'ended', reason: 'stopped' })
    t.like(places.end('crash'), { state: 'crashed', code: 'ERR_HANDLER' })
    t.deepEqual(readdirSync(join(places.runtime, 'two')), ['end.json'])
  },
)
