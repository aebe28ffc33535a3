import { mkdirSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'ava'

import { ConsoleLog, readConsole } from '../src/store/index.ts'
import { temporary } from './helpers/folder.ts'

const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString('latin1')

test('what a machine says is kept, and goes on after another start', async (t) => {
  const folder = temporary(t)
  t.is(text(await readConsole(folder)), '')
  const first = await ConsoleLog.open(folder)
  t.is(text(first.tail()), '')
  const bytes = Buffer.from('one\n')
  first.write(bytes)
  bytes.fill(0)
  first.write(Buffer.from('two\n'))
  t.is(text(first.tail()), 'one\ntwo\n')
  t.is(text(first.tail(4)), 'two\n')
  t.is(text(first.tail(0)), '')
  await first.close()
  first.write(Buffer.from('late\n'))
  const second = await ConsoleLog.open(folder)
  t.is(text(second.tail()), 'one\ntwo\n')
  second.write(Buffer.from('three\n'))
  await second.close()
  t.is(text(await readConsole(folder)), 'one\ntwo\nthree\n')
  t.is(text(await readConsole(folder, 6)), 'three\n')
  for (const none of [0, -1, Number.NaN, 0.5]) t.is(text(await readConsole(folder, none)), '')
  t.is(statSync(join(folder, 'console.log')).mode & 0o777, 0o600)
})

test('the text is bounded, and its end is whole', async (t) => {
  const folder = temporary(t)
  const log = await ConsoleLog.open(folder, { maxBytes: 1000 })
  let said = ''
  for (let index = 0; index < 1000; index++) {
    const line = `line ${index} ${'x'.repeat(index % 50)}\n`
    said += line
    log.write(Buffer.from(line))
    if (index % 7 === 0) await log.flush()
  }
  log.write(Buffer.from('y'.repeat(5000)))
  said += 'y'.repeat(5000)
  await log.flush()
  log.write(Buffer.from('end'))
  await log.close()
  said += 'end'
  t.deepEqual(readdirSync(folder).toSorted(), ['console.log', 'console.log.1'])
  const kept = text(await readConsole(folder))
  t.true(kept.length > 1000 && kept.length <= 2000)
  t.true(said.endsWith(kept))
  t.true(said.endsWith(text(log.tail())))
  t.is(text(await readConsole(folder, 100)), said.slice(-100))
  t.is(log.lostBytes, 0)
})

test('reading beside writing gives a text without gaps', async (t) => {
  const folder = temporary(t)
  const log = await ConsoleLog.open(folder, { maxBytes: 4000 })
  t.teardown(() => log.close())
  for (let index = 0; index < 300; index++) {
    for (let each = 0; each < 20; each++) log.write(Buffer.from(`${index * 20 + each}\n`))
    const flushed = log.flush()
    const numbers = text(await readConsole(folder))
      .split('\n')
      .slice(1, -1)
      .map(Number)
    for (const [at, number] of numbers.entries())
      if (at > 0 && number !== numbers[at - 1]! + 1) t.fail(`${number} after ${numbers[at - 1]}`)
    await flushed
  }
  t.pass()
})

test('a disk that fails costs text in the file, and no machine', async (t) => {
  const folder = join(temporary(t), 'gone')
  const log = await ConsoleLog.open(folder)
  const chunk = Buffer.alloc(60_000, 'a')
  for (let index = 0; index < 40; index++) log.write(chunk)
  log.write(Buffer.from('end'))
  await log.flush()
  t.regex(log.failure!.message, /ENOENT/)
  t.true(log.lostBytes > 1_000_000)
  t.true(text(log.tail()).endsWith('aend'))
  t.is(log.tail().length, 64 * 1024)
  mkdirSync(folder)
  await log.flush()
  t.is(log.failure, undefined)
  await log.close()
  t.true((await readConsole(folder)).length > 900_000)
})

test('what stands in the place of the file is left alone', async (t) => {
  const folder = temporary(t)
  mkdirSync(join(folder, 'console.log'))
  const log = await ConsoleLog.open(folder)
  log.write(Buffer.from('text'))
  await log.close()
  t.truthy(log.failure)
  await t.throwsAsync(readConsole(folder))
  rmSync(join(folder, 'console.log'), { recursive: true })
  // A file that is full already is put away first.
  writeFileSync(join(folder, 'console.log'), 'z'.repeat(2000))
  const other = await ConsoleLog.open(folder, { maxBytes: 1000 })
  other.write(Buffer.from('text'))
  await other.close()
  t.is(text(await readConsole(folder, 6)), 'zztext')
})

test('a guest that says a million single bytes costs no more than one that says them at once', async (t) => {
  const folder = temporary(t)
  const log = await ConsoleLog.open(folder)
  const before = process.memoryUsage().rss
  for (let index = 0; index < 1_000_000; index++) log.write(Uint8Array.of(index % 251))
  t.true(process.memoryUsage().rss - before < 64 * 2 ** 20)
  await log.close()
  t.is(log.lostBytes, 0)
  const kept = await readConsole(folder)
  t.is(kept.length, 1_000_000)
  t.true(kept.every((byte, index) => byte === index % 251))
  t.deepEqual(Buffer.from(log.tail()), Buffer.from(kept.subarray(-64 * 1024)))
})
