// The console of a machine: floods, slow readers, and more typed than a guest reads.
import { statSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

import test from 'ava'

import { until } from '../../../__test__/fixtures/until.ts'
import { kvmTest } from '../../../__test__/helpers/kvm.ts'
import { Console } from '../src/machine/console.ts'
import { SerialServer } from '../src/machine/sockets/serial.ts'
import { Places, echo, spin } from './helpers/machine-process.ts'

const serial: typeof kvmTest = (title, body) => kvmTest(title, body, test.serial)

const mib = 2 ** 20

// No guest is as fast as this on every KVM.
test.serial(
  'of a flood who reads gets all, who does not is dropped, and a file is bounded',
  async (t) => {
    const places = new Places(t)
    const console = await Console.open(places.folder)
    const path = join(places.folder, 's')
    const server = await SerialServer.serve(path, console)
    t.teardown(() => server.close())
    const [reader, slow] = [connect(path), connect(path)]
    let [heard, got] = [0, 0]
    reader.on('data', (bytes) => (heard += bytes.length))
    slow.on('error', () => undefined)
    await until(() => reader.readyState === 'open' && slow.readyState === 'open')
    await sleep(50)
    const before = process.memoryUsage.rss()
    const part = Buffer.alloc(16_384, 'a')
    for (let said = 0; said < 64 * mib; said += part.length) {
      console.write(part)
      t.true(await until(() => heard >= said - mib / 2))
    }
    t.true(await until(() => heard >= 64 * mib))
    t.true(process.memoryUsage.rss() - before < 64 * mib)
    slow.on('data', (bytes) => (got += bytes.length))
    t.true(await until(() => slow.closed))
    t.true(got < 4 * mib, `${got}`)
    await console.close()
    for (const name of ['console.log', 'console.log.1'])
      t.true((statSync(join(places.folder, name), { throwIfNoEntry: false })?.size ?? 0) <= mib)
    reader.destroy()
  },
)

serial('what a guest does not read waits with whoever types it', async (t) => {
  const places = new Places(t)
  const { child, control } = await places.start(places.definition('m', spin))
  const { socket } = await places.serial('m')
  const before = child.rss
  const part = Buffer.alloc(mib, 'x')
  let written = 0
  for (let count = 0; count < 100; count++)
    socket.write(part, (error) => (written += error ? 0 : 1))
  await sleep(500)
  t.true(written < 4, `${written} MiB were taken`)
  t.true(child.rss - before < 16 * mib, `${(child.rss - before) / mib} MiB more`)
  t.is((await control.request('status'))['state'], 'running')
  await control.request('kill')
  t.is(await child.gone(), 0)
})

serial('many are told the same, more than that are turned away, and all see the end', async (t) => {
  const places = new Places(t)
  const { control, child } = await places.start(places.definition('m', echo, { pc: true }))
  const listeners = await Promise.all(Array.from({ length: 64 }, () => places.serial('m')))
  for (const listener of listeners) t.true(await listener.until('ready\n'))
  const late = await places.serial('m')
  t.true(await until(() => late.closed))
  t.is(late.text, '')
  listeners[7]!.socket.write('hi')
  for (const listener of listeners) t.true(await listener.until('ready\nhi'))
  listeners[3]!.socket.destroy()
  await control.request('kill')
  t.true(await until(() => listeners.every(({ closed }) => closed)))
  t.is(await child.gone(), 0)
})
