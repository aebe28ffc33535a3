// What can be done with a machine that runs: by its control socket.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

import test from 'ava'

import { until } from '../../../__test__/fixtures/until.ts'
import { kvmTest } from '../../../__test__/helpers/kvm.ts'
import { countGpa, greeting, watchfulKernel } from './fixtures/watchful-kernel.ts'
import { type Client, Places, echo } from './helpers/machine-process.ts'

const serial: typeof kvmTest = (title, body) => kvmTest(title, body, test.serial)

/** A PC with the watchful kernel. */
function watchful(places: Places, name: string, more = {}) {
  const payload = { file: places.file(`${name}.elf`, watchfulKernel()) }
  return { name, pc: true, memoryBytes: 2 ** 24, payload, ...more }
}

async function count(control: Client): Promise<number> {
  const { base64 } = await control.request('memory', { gpa: countGpa, bytes: 4 })
  return Buffer.from(String(base64), 'base64').readUInt32LE()
}

serial('a machine begins paused, before its first instruction, and is paused again', async (t) => {
  const places = new Places(t)
  const { control } = await places.start(watchful(places, 'm'), { paused: true })
  t.is((await control.request('status'))['state'], 'paused')
  const console = await places.serial('m')
  await sleep(50)
  t.is(console.text, '')
  t.is((await control.request('stats'))['exits'], 0)
  await control.request('resume')
  t.true(await console.until(greeting))
  await control.request('pause')
  t.is((await control.request('status'))['state'], 'paused')
  const { exits } = await control.request('stats')
  await sleep(50)
  t.is((await control.request('stats'))['exits'], exits)
  await control.request('resume')
  console.socket.write('x')
  t.true(await console.until(`${greeting}x`))
  // The console's socket is another one.
  t.true(await until(() => control.kinds.length === 4))
  t.deepEqual(control.kinds, ['paused', 'resumed', 'paused', 'resumed'])
  await control.request('pause')
  await control.request('kill')
  t.is((await control.event('ended'))?.['reason'], 'stopped')
})

serial('keys, NMI, power button, screenshot and statistics reach the guest', async (t) => {
  const places = new Places(t)
  const definition = watchful(places, 'm', {
    screen: 'text',
    manager: { vnc: { password: 'secret' } },
  })
  const { control, child, started } = await places.start(definition)
  t.is(started['screen'], join(places.runtime, 'm', 'screen.sock'))
  t.true(Number.isInteger(started['vncPort']))
  const console = await places.serial('m')
  t.true(await console.until(greeting))
  await control.request('nmi')
  t.true(await console.until('N'))
  const before = console.text.length
  await control.request('sendKeys', { codes: ['ControlLeft', 'KeyA'], holdMs: 1 })
  t.true(await until(() => console.text.length > before))
  const file = join(places.folder, 'screen.png')
  t.deepEqual(await control.request('screenshot', { file }), { width: 640, height: 400 })
  t.deepEqual([...readFileSync(file).subarray(1, 4)], [...Buffer.from('PNG')])
  const stats = await control.request('stats')
  t.like(stats, { vcpus: 1, memoryBytes: 2 ** 24, routes: [] })
  const byReason = stats['exitsByReason'] as Record<string, number>
  t.true(byReason['pio-out']! > 0)
  await t.throwsAsync(control.request('sendKeys', { codes: ['KeyA', 'NoKey'] }), {
    code: 'ERR_INVALID_OPTION',
    message: /NoKey/,
  })
  await t.throwsAsync(control.request('memory', { gpa: 0, bytes: 65_537 }), {
    code: 'ERR_INVALID_OPTION',
  })
  await t.throwsAsync(control.request('memory', { gpa: 2 ** 40, bytes: 1 }), {
    code: 'ERR_GUEST_MEMORY',
  })
  await control.request('powerButton')
  t.like(await control.event('ended'), { state: 'ended', reason: 'power-off' })
  t.is(await child.gone(), 0)
})

serial('the reset button begins the machine anew, paused or not', async (t) => {
  const places = new Places(t)
  const { control } = await places.start(watchful(places, 'm'))
  const console = await places.serial('m')
  t.true(await console.until(greeting))
  console.socket.write('+')
  t.true(await console.until('1'))
  await control.request('reset')
  t.true(await console.until(`${greeting}1${greeting}`))
  t.is(await count(control), 0)
  await control.request('pause')
  await control.request('reset')
  t.is((await control.request('status'))['state'], 'paused')
  t.is((await control.request('stats'))['exits'], 0)
  await control.request('resume')
  t.true(await console.until(`${greeting}1${greeting}${greeting}`))
  t.true(await until(() => control.kinds.length === 5))
  t.deepEqual(control.events[1], { event: 'reset', by: 'button' })
  t.deepEqual(control.kinds, ['running', 'reset', 'paused', 'reset', 'resumed'])
})

serial(
  'a guest that resets itself begins anew, and one that does nothing else waits',
  async (t) => {
    const places = new Places(t)
    const { control } = await places.start(places.definition('m', echo, { pc: true }))
    const console = await places.serial('m')
    t.true(await console.until('ready\n'))
    console.socket.write('r')
    t.true(await console.until('ready\nready\n'))
    t.true(await until(() => control.kinds.length > 1))
    t.deepEqual(control.events[1], { event: 'reset', by: 'guest' })
    const begin = performance.now()
    // mov al, 6; mov dx, 0xcf9; out dx, al
    const loop = await places.start(places.definition('n', 'b0 06 ba f9 0c ee', { pc: true }))
    t.is((await loop.control.event('reset'))?.['by'], 'guest')
    await sleep(1500)
    // It has begun after `begin`; each time after the first one waits for a second.
    const resets = loop.control.kinds.filter((kind) => kind === 'reset').length
    const most = 2 + (performance.now() - begin) / 1000
    t.true(resets <= most, `${resets} of ${most}`)
    await loop.control.request('pause')
    await loop.control.request('kill')
    t.is(await loop.child.gone(), 0)
  },
)

serial('a saved state is put back in place, and a machine begins with it', async (t) => {
  const places = new Places(t)
  const definition = watchful(places, 'm', { screen: 'text' })
  const first = await places.start(definition)
  const console = await places.serial('m')
  t.true(await console.until(greeting))
  console.socket.write('++')
  t.true(await console.until('12'))
  const folder = join(places.folder, 'snap')
  mkdirSync(folder)
  const { bytes } = await first.control.request('save', { folder })
  t.true(Number(bytes) > 0)
  t.is((await first.control.request('status'))['state'], 'running')
  console.socket.write('+')
  t.true(await console.until('123'))
  await first.control.request('restore', { folder })
  t.is(await count(first.control), 2)
  console.socket.write('+')
  t.true(await console.until('1233'))
  await first.control.request('kill')
  t.is(await first.child.gone(), 0)
  const second = await places.start(definition, { from: folder, paused: true })
  t.is(await count(second.control), 2)
  await second.control.request('resume')
  const again = await places.serial('m')
  again.socket.write('+')
  t.true(await again.until('12333'), again.text)
})

serial('a disk that a guest writes goes back with the state', async (t) => {
  const places = new Places(t)
  const file = places.file('disk.img', Buffer.alloc(2 ** 20, 'a'))
  const definition = watchful(places, 'm', { disks: [{ file }] })
  const { control, child } = await places.start(definition)
  const console = await places.serial('m')
  t.true(await console.until(greeting))
  console.socket.write('+')
  t.true(await console.until('1'))
  const folder = join(places.folder, 'snap')
  mkdirSync(folder)
  await control.request('save', { folder })
  t.deepEqual(readFileSync(join(folder, 'disk0.img')), readFileSync(file))
  writeFileSync(file, Buffer.alloc(2 ** 20, 'b'), { flag: 'r+' })
  console.socket.write('+')
  t.true(await console.until('12'))
  await control.request('restore', { folder })
  t.is(readFileSync(file)[0], 'a'.charCodeAt(0))
  t.is(await count(control), 1)
  console.socket.write('+')
  t.true(await console.until('122'))
  writeFileSync(file, Buffer.alloc(2 ** 20, 'c'), { flag: 'r+' })
  await control.request('kill')
  t.is(await child.gone(), 0)
  const second = await places.start(definition, { from: folder })
  t.is(readFileSync(file)[0], 'a'.charCodeAt(0))
  t.is(await count(second.control), 1)
})

serial('a disk that cannot be saved is named, and the machine goes on', async (t) => {
  const places = new Places(t)
  const module = places.file(
    'disk.mjs',
    'export default () => ({ disks: [{ device: { bytes: 4096, read: () => 0, write: () => 0 } }] })',
  )
  const { control } = await places.start(watchful(places, 'm', { module }))
  const folder = join(places.folder, 'snap')
  mkdirSync(folder)
  await t.throwsAsync(control.request('save', { folder }), {
    code: 'ERR_SNAPSHOT',
    message: /disks\[0\] \(device\)/,
  })
  const console = await places.serial('m')
  t.true(await console.until(greeting))
  t.is((await control.request('status'))['state'], 'running')
})
