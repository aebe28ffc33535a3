import test from 'ava'

import { until } from '../../../__test__/fixtures/until.ts'
import { kvmTest } from '../../../__test__/helpers/kvm.ts'
import { ManagerError } from '../src/supervisor/errors.ts'
import type { MachineState } from '../src/supervisor/interface.ts'
import { move, need } from '../src/supervisor/machine/states.ts'
import { crashing, echoing, ending, place, sleeper, supervise } from './helpers/supervised.ts'

const states: MachineState[] = [
  'defined',
  'starting',
  'running',
  'paused',
  'stopping',
  'ended',
  'crashed',
]

const arrows = [
  'defined → starting',
  'starting → running',
  'starting → paused',
  'starting → stopping',
  'starting → crashed',
  'running → paused',
  'running → stopping',
  'running → ended',
  'running → crashed',
  'paused → running',
  'paused → stopping',
  'paused → ended',
  'paused → crashed',
  'stopping → ended',
  'stopping → crashed',
  'ended → starting',
  'crashed → starting',
]

test('a state is followed by those of the diagram, and by no other', (t) => {
  const found: string[] = []
  for (const from of states) {
    for (const to of states) {
      try {
        t.is(move('m', from, to), to)
        found.push(`${from} → ${to}`)
      } catch (error) {
        t.is((error as ManagerError).code, 'ERR_INTERNAL')
      }
    }
  }
  t.deepEqual(found.toSorted(), arrows.toSorted())
})

test('what a state does not allow is an error that names the state and what to do', (t) => {
  for (const state of states) {
    const error = t.throws(() => need('web', state, [], 'pause'), { instanceOf: ManagerError })
    t.is(error.code, 'ERR_STATE')
    t.regex(error.message, /^cannot pause machine 'web': it (?:is|has) \w+/)
    t.regex(error.message, /; \w+|start it|kill it/)
  }
  t.notThrows(() => need('web', 'running', ['running'], 'pause'))
})

kvmTest('a machine is defined, starts, runs, pauses, goes on and is killed', async (t) => {
  const there = place(t)
  const { supervisor, events } = await supervise(t, there)
  const defined = await supervisor.define({ name: 'web', ...sleeper(there) }, { from: 'local' })
  t.like(defined, { name: 'web', state: 'defined', persistent: true, autostart: false })
  t.regex(defined.uuid, /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/)
  t.is(defined.pid, undefined)

  const running = await supervisor.start('web')
  t.is(running.state, 'running')
  t.deepEqual(there.pids(), [running.pid!])
  t.truthy(running.startedAt)
  t.is((await supervisor.pause('web')).state, 'paused')
  t.is((await supervisor.resume(running.uuid)).state, 'running')
  await supervisor.reset('web')
  const ended = await supervisor.kill('web')
  t.like(ended, { state: 'ended', reason: 'stopped' })
  t.deepEqual([ended.pid, ended.id], [undefined, undefined])
  t.deepEqual(there.pids(), [])
  t.deepEqual(
    events.map(({ type }) => type),
    ['defined', 'starting', 'running', 'paused', 'resumed', 'reset', 'stopping', 'ended'],
  )
  t.deepEqual(
    events.map(({ seq }) => seq),
    events.map((_, index) => index + 1),
  )
})

kvmTest('a machine starts paused, before its first instruction', async (t) => {
  const there = place(t)
  const { supervisor, types } = await supervise(t, there)
  await supervisor.define({ name: 'web', ...ending(there, 3) }, { from: 'local' })
  t.is((await supervisor.start('web', { paused: true })).state, 'paused')
  await supervisor.resume('web')
  t.true(await until(() => supervisor.find('web').state === 'ended'))
  t.like(supervisor.find('web'), { reason: 'exit-port', exitCode: 3 })
  t.deepEqual(types('web'), ['defined', 'starting', 'paused', 'resumed', 'ended'])
})

kvmTest('a machine that ended or crashed tells why, and starts again', async (t) => {
  const there = place(t)
  const { supervisor, types, close } = await supervise(t, there)
  await supervisor.define({ name: 'good', ...ending(there, 0) }, { from: 'local' })
  await supervisor.define({ name: 'bad', ...crashing() }, { from: 'local' })
  for (const round of [1, 2]) {
    await supervisor.start('good')
    t.true(await until(() => supervisor.find('good').state === 'ended'), `round ${round}`)
    t.like(supervisor.find('good'), { reason: 'exit-port', exitCode: 0 })
    await supervisor.start('bad')
    t.true(await until(() => supervisor.find('bad').state === 'crashed'), `round ${round}`)
    t.is(supervisor.find('bad').reason, 'shutdown')
  }
  t.regex(supervisor.find('bad').crash!.sentence, /triple fault/)
  // mov al,42; out 0x10,al
  const file = there.image('lost.bin', Uint8Array.of(0xb0, 42, 0xe6, 0x10))
  await supervisor.define({ name: 'lost', mode: 'real', payload: { file } }, { from: 'local' })
  await supervisor.start('lost')
  t.true(await until(() => supervisor.find('lost').state === 'crashed'))
  const { crash } = supervisor.find('lost')
  t.is(crash!.sentence, 'the guest wrote 1 byte (0x2a) to port 0x10, which no route claims')
  t.is(crash!.registers!['rax'], '0x2a')
  t.regex(crash!.explanation!, /unclaimed: no route claims port 0x10/)
  // A later daemon knows it, too.
  await close()
  const { supervisor: later } = await supervise(t, there)
  t.deepEqual(later.find('lost').crash, crash)
  const once = ['starting', 'running', 'ended']
  t.deepEqual(types('good'), ['defined', ...once, ...once])
})

kvmTest(
  'a guest that knows the power button ends by it, one that does not is killed',
  async (t) => {
    const there = place(t)
    const { supervisor, types } = await supervise(t, there)
    await supervisor.define({ name: 'pc', ...echoing(there) }, { from: 'local' })
    await supervisor.define({ name: 'deaf', ...sleeper(there), pc: true }, { from: 'local' })
    await supervisor.define({ name: 'bare', ...sleeper(there) }, { from: 'local' })
    for (const name of ['pc', 'deaf', 'bare']) await supervisor.start(name)

    t.like(await supervisor.stop('pc'), { state: 'ended', reason: 'power-off' })
    t.like(await supervisor.stop('deaf', { timeoutMs: 100 }), { state: 'ended', reason: 'stopped' })
    // Without a button there is nothing to wait for.
    t.like(await supervisor.stop('bare'), { state: 'ended', reason: 'stopped' })
    t.deepEqual(types('pc').slice(-2), ['stopping', 'ended'])

    await supervisor.start('pc')
    await supervisor.pause('pc')
    t.like(await supervisor.stop('pc'), { state: 'ended', reason: 'power-off' })
    await supervisor.start('pc')
    await supervisor.powerButton('pc')
    t.true(await until(() => supervisor.find('pc').state === 'ended'))
  },
)

kvmTest('what is not allowed in a state is refused, and changes nothing', async (t) => {
  const there = place(t)
  const { supervisor, events } = await supervise(t, there)
  await supervisor.define({ name: 'web', ...sleeper(there) }, { from: 'local' })
  const refused = async (act: () => Promise<unknown>, state: RegExp): Promise<void> => {
    const before = events.length
    const error = await t.throwsAsync(act, { instanceOf: ManagerError })
    t.is(error?.code, 'ERR_STATE')
    t.regex(error?.message ?? '', state)
    t.is(events.length, before)
  }
  const awake = [
    () => supervisor.stop('web'),
    () => supervisor.kill('web'),
    () => supervisor.pause('web'),
    () => supervisor.resume('web'),
    () => supervisor.reset('web'),
    () => supervisor.powerButton('web'),
    () => supervisor.nmi('web'),
    () => supervisor.memory('web', 0, 16),
    () => supervisor.stats('web'),
    () => supervisor.console('web'),
    () => supervisor.save('web'),
    () => supervisor.saveSnapshot('web', 'one'),
  ]
  for (const act of awake) await refused(act, /is defined and does not run; start it first/)
  await supervisor.start('web')
  await refused(() => supervisor.start('web'), /is running; stop or kill it first/)
  await refused(() => supervisor.resume('web'), /is running/)
  await refused(() => supervisor.undefine('web'), /is running/)
  await supervisor.pause('web')
  await refused(() => supervisor.pause('web'), /is paused; resume it, or kill it/)
  await supervisor.kill('web')
  await refused(() => supervisor.kill('web'), /has ended; start it first/)
})

kvmTest('of two starts at once one wins; a kill ends a start, and a stop does', async (t) => {
  const there = place(t)
  const { supervisor, types } = await supervise(t, there)
  await supervisor.define({ name: 'web', ...sleeper(there) }, { from: 'local' })
  const both = await Promise.allSettled([supervisor.start('web'), supervisor.start('web')])
  t.deepEqual(
    both.map(({ status }) => status),
    ['fulfilled', 'rejected'],
  )
  t.like(both[1], { reason: { code: 'ERR_STATE' } })
  await supervisor.kill('web')

  for (const end of ['kill', 'stop'] as const) {
    const start = t.throwsAsync(supervisor.start('web'), { code: 'ERR_STATE' })
    t.is(supervisor.find('web').state, 'starting')
    t.is((await supervisor[end]('web')).state, 'ended')
    await start
    t.deepEqual(there.pids(), [])
    t.deepEqual(types('web').slice(-3), ['starting', 'stopping', 'ended'])
  }
  // At any later moment, too.
  for (let delay = 0; delay < 12; delay++) {
    const start = supervisor.start('web').catch((error: ManagerError) => error.code)
    await new Promise((resolve) => setTimeout(resolve, delay * 40))
    t.is((await supervisor.kill('web')).state, 'ended')
    t.true(
      ['ERR_STATE', undefined].includes((await start) as string | undefined) ||
        typeof (await start) === 'object',
    )
  }
  t.is((await supervisor.start('web')).state, 'running')
})

kvmTest('a kill ends a machine at once, whatever else is being done with it', async (t) => {
  const there = place(t)
  const { supervisor } = await supervise(t, there)
  await supervisor.define({ name: 'deaf', ...sleeper(there), pc: true }, { from: 'local' })
  await supervisor.start('deaf')
  const stop = supervisor.stop('deaf')
  const again = supervisor.stop('deaf')
  t.is(supervisor.find('deaf').state, 'stopping')
  t.is((await supervisor.kill('deaf')).state, 'ended')
  t.deepEqual(
    (await Promise.all([stop, again])).map(({ state }) => state),
    ['ended', 'ended'],
  )
})

kvmTest('a machine that cannot be made has crashed, and its start says why', async (t) => {
  const there = place(t)
  const { supervisor, types } = await supervise(t, there)
  const payload = { file: '/nowhere/kernel' } as const
  await supervisor.define({ name: 'web', mode: 'real', payload }, { from: 'local' })
  const error = await t.throwsAsync(supervisor.start('web'), { instanceOf: ManagerError })
  t.regex(error?.message ?? '', /\/nowhere\/kernel/)
  t.is(supervisor.find('web').state, 'crashed')
  t.regex(supervisor.find('web').reason ?? '', /\/nowhere\/kernel/)
  t.deepEqual(types('web'), ['defined', 'starting', 'crashed'])
  t.deepEqual(there.pids(), [])
})

kvmTest('a machine that is not kept is forgotten when it has ended', async (t) => {
  const there = place(t)
  const { supervisor, types, store } = await supervise(t, there)
  const options = { from: 'local', persistent: false } as const
  await supervisor.define({ name: 'web', ...sleeper(there) }, options)
  t.false((await supervisor.start('web')).persistent)
  await supervisor.kill('web')
  t.deepEqual(supervisor.list(), [])
  t.deepEqual(store.machines(), [])
  t.deepEqual(types('web').slice(-2), ['ended', 'undefined'])
  t.throws(() => supervisor.find('web'), { code: 'ERR_NOT_FOUND' })
})
