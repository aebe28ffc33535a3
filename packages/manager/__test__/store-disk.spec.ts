import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, readdirSync, rmSync, statfsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import test, { type ExecutionContext } from 'ava'

import { newUuid } from '../src/definition/index.ts'
import { ConsoleLog, EventLog, type MachineRecord, openStore } from '../src/store/index.ts'
import { rejects } from './helpers/errors.ts'
import { temporary } from './helpers/folder.ts'

const moduleOf = (room: string): string =>
  pathToFileURL(join(import.meta.dirname, `../dist/${room}/index.js`)).href

const uuid = newUuid()
const record = (name: string, cmdline: string): MachineRecord => ({
  version: 1,
  name,
  uuid: name === 'a' ? uuid : newUuid(),
  autostart: false,
  persistent: true,
  definition: { name, payload: { file: '/kernel', cmdline } },
})

/** A disk of 1 MiB, or the reason why there is none. */
function smallDisk(t: ExecutionContext): { folder: string } | { reason: string } {
  const folder = temporary(t)
  const { status, stderr } = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', folder])
  if (status !== 0) return { reason: `cannot mount a small disk: ${String(stderr).trim()}` }
  t.teardown(() => spawnSync('umount', ['-l', folder]))
  return { folder }
}

/** Leaves so many pages of it free. */
function fill(folder: string, pages: number): void {
  const path = join(folder, 'ballast')
  rmSync(path, { force: true })
  const { bavail, bsize } = statfsSync(folder)
  writeFileSync(path, Buffer.alloc((bavail - pages) * bsize))
}

test('a full disk: the old definition stays, and the error says what to do', async (t) => {
  const disk = smallDisk(t)
  if ('reason' in disk) {
    t.log(`skipped: ${disk.reason}`)
    t.pass()
    return
  }
  const state = join(disk.folder, 'state')
  const store = await openStore(state)
  await store.save(record('a', 'small'))
  const before = readFileSync(join(store.folder('a'), 'machine.json'))
  const large = 'x'.repeat(64 * 1024)
  // From nothing that fits to nearly all of it.
  for (let pages = 0; pages < 16; pages += 3) {
    fill(disk.folder, pages)
    for (const name of ['a', 'b']) {
      const { message } = await rejects(t, 'ERR_STORE', () => store.save(record(name, large)))
      t.regex(message, /ENOSPC.*what was there stays: the disk is full, make room/)
    }
    t.deepEqual(readFileSync(join(store.folder('a'), 'machine.json')), before)
    t.deepEqual(readdirSync(store.folder('a')), ['machine.json'])
    t.deepEqual(readdirSync(join(state, 'machines')), ['a'])
    t.deepEqual(
      store.machines().map(({ name }) => name),
      ['a'],
    )
  }

  fill(disk.folder, 0)
  const log = await ConsoleLog.open(store.folder('a'))
  t.teardown(() => log.close())
  log.write(Buffer.from('said on a full disk\n'))
  await log.flush()
  t.is((log.failure as NodeJS.ErrnoException).code, 'ENOSPC')
  t.is(Buffer.from(log.tail()).toString(), 'said on a full disk\n')
  t.is(store.events.append({ machine: 'a', uuid, type: 'running' }).seq, 1)
  t.is((store.events.failure as NodeJS.ErrnoException).code, 'ENOSPC')
  await store.remove('a')
  t.deepEqual(store.machines(), [])
  await store.save(record('a', 'small'))

  rmSync(join(disk.folder, 'ballast'))
  t.is(store.events.append({ machine: 'a', uuid, type: 'ended' }).seq, 2)
  t.is(store.events.failure, undefined)
  await log.flush()
  await store.save(record('a', large))
  await store.close()
  const next = await openStore(state)
  t.deepEqual(next.machines(), [record('a', large)])
  t.is(next.events.lastSeq, 2)
  t.deepEqual(next.problems, [])
  await next.close()
})

test('a daemon starts on a full disk, and tells of its machines', async (t) => {
  const disk = smallDisk(t)
  if ('reason' in disk) {
    t.log(`skipped: ${disk.reason}`)
    t.pass()
    return
  }
  const state = join(disk.folder, 'state')
  const first = await openStore(state)
  await first.save(record('a', 'small'))
  await first.close()
  fill(disk.folder, 0)
  const next = await openStore(state)
  t.deepEqual(next.machines(), [record('a', 'small')])
  await rejects(t, 'ERR_DAEMON', () => openStore(state))
  await next.close()
  await (await openStore(state)).close()
})

test('of many daemons that start at once one has the directory, and the next one takes it over', async (t) => {
  const state = temporary(t)
  const script = `
    const { openStore } = await import('${moduleOf('store')}')
    await openStore(${JSON.stringify(state)}).then(() => console.log('has it'), (error) => console.log(error.code))
    setInterval(() => {}, 1000)`
  for (let round = 0; round < 3; round++) {
    const children = Array.from({ length: 8 }, () =>
      spawn(process.execPath, ['--input-type=module', '-e', script]),
    )
    t.teardown(() => children.map((child) => child.kill('SIGKILL')))
    const said = await Promise.all(
      children.map(async ({ stdout }) => String((await once(stdout, 'data'))[0]).trim()),
    )
    t.is(said.filter((each) => each === 'has it').length, 1)
    t.is(said.filter((each) => each === 'ERR_DAEMON').length, 7)
    for (const child of children) child.kill('SIGKILL')
    await Promise.all(children.map((child) => once(child, 'exit')))
  }
  t.is(readdirSync(join(state, 'lock')).length, 1)
})

test('a daemon that is killed while it writes leaves the old or the new', async (t) => {
  const state = temporary(t)
  const script = `
    const { openStore } = await import('${moduleOf('store')}')
    const store = await openStore(${JSON.stringify(state)})
    for (let count = 0; ; count++) {
      const definition = { name: 'a', payload: { file: '/k', cmdline: 'x'.repeat(count % 50000) } }
      await store.save({ version: 1, name: 'a', uuid: '${uuid}', autostart: false, persistent: true, definition })
      store.events.append({ machine: 'a', uuid: '${uuid}', type: 'defined' })
      if (count === 6) console.log('writing')
      if (count % 5 === 4) await store.remove('a')
    }`
  let last = 0
  for (let round = 0; round < 8; round++) {
    const child = spawn(process.execPath, ['--input-type=module', '-e', script])
    t.teardown(() => child.kill('SIGKILL'))
    await once(child.stdout, 'data')
    await new Promise((resolve) => setTimeout(resolve, 20 + round * 13))
    child.kill('SIGKILL')
    await once(child, 'exit')
    const store = await openStore(state)
    t.deepEqual(store.problems, [])
    t.true(store.machines().length <= 1)
    t.true(store.events.lastSeq > last)
    last = store.events.lastSeq
    const names = readdirSync(join(state, 'machines'))
    t.true(names.every((name) => name === 'a'))
    if (names.length > 0) t.deepEqual(readdirSync(join(state, 'machines/a')), ['machine.json'])
    await store.close()
  }
  const events = EventLog.open(state)
  t.is(events.lastSeq, last)
  const numbers = events.since(last - 50)!.map(({ seq }) => seq)
  t.deepEqual(
    numbers,
    Array.from({ length: 50 }, (_, index) => last - 49 + index),
  )
})
