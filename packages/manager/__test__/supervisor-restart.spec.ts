import test from 'ava'

import { until } from '../../../__test__/fixtures/until.ts'
import { kvmTest } from '../../../__test__/helpers/kvm.ts'
import { outcomeOf, Restarts, type RestartPolicy } from '../src/supervisor/machine/restart.ts'
import { crashing, ending, place, quick, sleeper, supervise } from './helpers/supervised.ts'

test('restarts wait longer each time, are bounded, and begin anew after a long run', (t) => {
  const restarts = new Restarts({ firstMs: 10, longestMs: 35, tries: 4, healthyMs: 1000 })
  const crash = outcomeOf('shutdown')
  const waits = Array.from({ length: 5 }, () => restarts.after('on-failure', crash, 1))
  t.deepEqual(waits, [10, 20, 35, 35, 'enough'])
  t.is(restarts.after('on-failure', crash, 1000), 10)
  restarts.forget()
  t.is(restarts.after('always', crash, 1), 10)
})

test('which ends a policy restarts', (t) => {
  const table: [RestartPolicy, string, number | undefined, boolean][] = [
    ['no', 'shutdown', undefined, false],
    ['no', 'power-off', undefined, false],
    ['on-failure', 'shutdown', undefined, true],
    ['on-failure', 'exit-port', 1, true],
    ['on-failure', 'exit-port', 0, false],
    ['on-failure', 'power-off', undefined, false],
    ['always', 'power-off', undefined, true],
    ['always', 'exit-port', 0, true],
    ['always', 'shutdown', undefined, true],
  ]
  for (const [policy, reason, code, restarts] of table) {
    const after = new Restarts(quick).after(policy, outcomeOf(reason, code), 0)
    t.is(typeof after === 'number', restarts, `${policy} ${reason} ${code}`)
  }
})

kvmTest('a machine that crashes again and again is restarted so often, and no more', async (t) => {
  const there = place(t)
  const { supervisor, types, lines } = await supervise(t, there)
  const manager = { restart: 'on-failure' } as const
  await supervisor.define({ name: 'web', ...crashing(), manager }, { from: 'local' })
  await supervisor.start('web')
  t.true(await until(() => lines.some((line) => line.includes('it stays down'))))
  const once = ['starting', 'running', 'crashed']
  const again = ['restarting', ...once]
  t.deepEqual(types('web'), ['defined', ...once, ...again, ...again, ...again])
  t.is(supervisor.find('web').state, 'crashed')
})

kvmTest('what somebody asked to end stays down, whatever its policy', async (t) => {
  const there = place(t)
  const { supervisor, types } = await supervise(t, there)
  const manager = { restart: 'always' } as const
  await supervisor.define({ name: 'web', ...sleeper(there), manager }, { from: 'local' })
  await supervisor.start('web')
  await supervisor.kill('web')
  await supervisor.start('web')
  process.kill(supervisor.find('web').pid!, 'SIGKILL')
  // Here nobody asked.
  t.true(
    await until(
      () => supervisor.find('web').state === 'running' && types('web').includes('restarting'),
    ),
  )
  await supervisor.stop('web')
  t.is(types('web').filter((type) => type === 'restarting').length, 1)
})

kvmTest('a restart that is to come can be given up, and comes sooner by a start', async (t) => {
  const there = place(t)
  const backoff = { ...quick, firstMs: 3_600_000, longestMs: 3_600_000 }
  const { supervisor } = await supervise(t, there, { backoff })
  const manager = { restart: 'always' } as const
  await supervisor.define({ name: 'web', ...ending(there, 1), manager }, { from: 'local' })
  const ended = (): boolean => supervisor.find('web').state === 'ended'
  await supervisor.start('web')
  t.true(await until(ended))
  t.is((await supervisor.start('web', { paused: true })).state, 'paused')
  await supervisor.resume('web')
  t.true(await until(ended))
  t.is((await supervisor.stop('web')).state, 'ended')
  await t.throwsAsync(supervisor.stop('web'), { code: 'ERR_STATE' })
})

kvmTest('a restart that a daemon promised is kept by the next', async (t) => {
  const there = place(t)
  const backoff = { ...quick, firstMs: 3_600_000, longestMs: 3_600_000 }
  const first = await supervise(t, there, { backoff })
  const manager = { restart: 'always' } as const
  await first.supervisor.define({ name: 'web', ...sleeper(there), manager }, { from: 'local' })
  await first.supervisor.start('web')
  process.kill(first.supervisor.find('web').pid!, 'SIGKILL')
  t.true(await until(() => first.types('web').includes('restarting')))
  await first.close()
  const next = await supervise(t, there)
  t.true(await until(() => next.supervisor.find('web').state === 'running'))
})

kvmTest('machines start with their daemon where they are to', async (t) => {
  const there = place(t)
  const first = await supervise(t, there)
  const base = sleeper(there)
  await first.supervisor.define(
    { name: 'a', ...base, manager: { autostart: true } },
    { from: 'local' },
  )
  await first.supervisor.define({ name: 'b', ...base }, { from: 'local' })
  await first.supervisor.define({ name: 'c', ...base }, { from: 'local' })
  t.true((await first.supervisor.setAutostart('c', true)).autostart)
  // A definition that says nothing of it leaves it as it is.
  t.true((await first.supervisor.define({ name: 'c', ...base }, { from: 'local' })).autostart)
  await first.close()
  const { supervisor } = await supervise(t, there)
  t.deepEqual(there.pids(), [])
  await supervisor.autostart()
  t.deepEqual(
    supervisor.list().map(({ state }) => state),
    ['running', 'defined', 'running'],
  )
})
