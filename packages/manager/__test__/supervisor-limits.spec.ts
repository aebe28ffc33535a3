import { readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

import test from 'ava'

import { until } from '../../../__test__/fixtures/until.ts'
import { kvmTest } from '../../../__test__/helpers/kvm.ts'
import { findLimitTools, limited } from '../src/supervisor/process/limits.ts'
import { place, sleeper, supervise } from './helpers/supervised.ts'

test('limits become words before the command, by what the host offers', (t) => {
  const all = { memoryBytes: 1000, openFiles: 64, cpuSeconds: 5 }
  t.deepEqual(limited(undefined, { prlimit: false }), [])
  t.deepEqual(limited(all, { prlimit: true }), [
    'prlimit',
    '--nofile=64',
    '--cpu=5',
    '--data=1000',
    '--',
  ])
  t.deepEqual(limited(all, { prlimit: true, scope: ['systemd-run', '--scope'] }), [
    'systemd-run',
    '--scope',
    '--property=MemoryMax=1000',
    '--property=MemorySwapMax=0',
    '--',
    'prlimit',
    '--nofile=64',
    '--cpu=5',
    '--',
  ])
  const error = t.throws(() => limited(all, { prlimit: false }), {
    code: 'ERR_NOT_SUPPORTED',
  } as object)
  t.regex(error?.message ?? '', /install util-linux, or remove the limits/)
})

kvmTest('a process has the limits of its machine, and its number', async (t) => {
  const tools = await findLimitTools()
  if (!tools.prlimit) {
    t.log('skipped: this host has no prlimit')
    t.pass()
    return
  }
  const there = place(t)
  const { supervisor } = await supervise(t, there)
  const limits = { openFiles: 256, cpuSeconds: 3600, memoryBytes: 2 ** 31 }
  await supervisor.define(
    { name: 'web', ...sleeper(there), manager: { limits } },
    { from: 'local' },
  )
  const { pid } = await supervisor.start('web')
  const table = readFileSync(`/proc/${pid}/limits`, 'utf8')
  t.regex(table, /^Max open files +256 +256 /m)
  t.regex(table, /^Max cpu time +3600 +3600 /m)
  if (tools.scope === undefined) t.regex(table, /^Max data size +2147483648 +2147483648 /m)
  t.is((await supervisor.memory('web', 0, 1)).length, 1)
  t.is((await supervisor.kill('web')).state, 'ended')
})

kvmTest(
  'a machine whose process may not have its memory has crashed, and the start says so',
  async (t) => {
    const there = place(t)
    const { supervisor } = await supervise(t, there)
    const manager = { limits: { memoryBytes: 2 ** 20 } }
    await supervisor.define({ name: 'web', ...sleeper(there), manager }, { from: 'local' })
    await t.throwsAsync(supervisor.start('web'), { code: 'ERR_MACHINE' })
    t.is(supervisor.find('web').state, 'crashed')
    t.deepEqual(there.pids(), [])
  },
)

/** Complains at its start more than a file takes, and again and again. */
const loud = `
const line = 'x'.repeat(64 * 1024 - 1)
export default () => {
  for (let count = 0; count < 50; count++) console.error(line)
  process.stderr.write('y'.repeat(3 * 1024 * 1024) + '\\n')
  setInterval(() => console.error(line), 1)
  return {}
}
`

kvmTest('what a process complains is kept in so many bytes, and the last of it', async (t) => {
  const there = place(t)
  const { supervisor } = await supervise(t, there)
  const module = there.image('loud.mjs', Buffer.from(loud))
  await supervisor.define({ name: 'web', ...sleeper(there), module }, { from: 'local' })
  await supervisor.start('web')
  const log = join(there.state, 'machines/web/process.log')
  const sizes = [log, `${log}.1`]
  let [most, turns, last] = [0, 0, 0]
  const look = (): void => {
    const [now = 0, before = 0] = sizes.map((path) => statSync(path).size)
    most = Math.max(most, now, before)
    if (now < last) turns += 1
    last = now
  }
  t.true(
    await until(
      () => turns >= 3,
      300_000,
      () => sleep(5).then(look),
    ),
  )
  t.true(most <= 2 ** 20, `${most} bytes`)
  t.is(supervisor.find('web').state, 'running')
  await supervisor.kill('web')
  const text = readFileSync(log, 'utf8')
  t.regex(text, /^x*(?:\nx+)*\n$/)
})
