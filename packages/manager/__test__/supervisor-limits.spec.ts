import { readFileSync } from 'node:fs'

import test from 'ava'

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
