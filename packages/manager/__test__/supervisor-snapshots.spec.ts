import { kvmTest } from '../../../__test__/helpers/kvm.ts'
import { place, supervise } from './helpers/supervised.ts'

/*
 * b0 00     mov al,0
 * fe c0     inc al
 * a2 00 05  mov [0x500],al
 * eb f9     jmp -7
 */
const counter = Uint8Array.of(0xb0, 0x00, 0xfe, 0xc0, 0xa2, 0x00, 0x05, 0xeb, 0xf9)

kvmTest('a snapshot is kept, restored in place and by a start, and removed', async (t) => {
  const there = place(t)
  const { supervisor, types } = await supervise(t, there)
  const payload = { file: there.image('count.bin', counter), format: 'flat' } as const
  const definition = { name: 'web', mode: 'real', memoryBytes: 2 ** 20, payload } as const
  await supervisor.define(definition, { from: 'local' })
  await supervisor.start('web')
  await supervisor.pause('web')
  const at = async (): Promise<number> => (await supervisor.memory('web', 0x500, 1))[0]!
  const then = await at()
  const view = await supervisor.saveSnapshot('web', 'one', { description: 'before' })
  t.like(view, { name: 'one', state: 'paused', description: 'before' })
  t.true(view.bytes > 0)
  await t.throwsAsync(supervisor.saveSnapshot('web', 'one'), { code: 'ERR_EXISTS' })
  t.is(supervisor.find('web').state, 'paused')
  t.deepEqual(await supervisor.snapshots('web'), [view])

  // It runs until its counter is another.
  let now = then
  for (let tries = 0; now === then && tries < 1000; tries++) {
    await supervisor.resume('web')
    await supervisor.pause('web')
    now = await at()
  }
  t.not(now, then)
  t.is((await supervisor.restoreSnapshot('web', 'one')).state, 'paused')
  t.is(await at(), then)

  // A machine that runs is paused by a snapshot of a paused one, and the other way round.
  await supervisor.resume('web')
  t.is((await supervisor.restoreSnapshot('web', 'one')).state, 'paused')
  t.is(await at(), then)
  await supervisor.resume('web')
  t.like(await supervisor.saveSnapshot('web', 'two'), { state: 'running' })
  await supervisor.pause('web')
  t.is((await supervisor.restoreSnapshot('web', 'two')).state, 'running')

  await supervisor.kill('web')
  t.is((await supervisor.restoreSnapshot('web', 'one')).state, 'paused')
  t.is(await at(), then)
  t.true(types('web').includes('restored'))
  await supervisor.kill('web')
  await supervisor.removeSnapshot('web', 'one')
  await t.throwsAsync(supervisor.restoreSnapshot('web', 'one'), { code: 'ERR_NOT_FOUND' })
})

kvmTest('a saved machine has ended, and its next start goes on there, once', async (t) => {
  const there = place(t)
  const { supervisor, types } = await supervise(t, there)
  const payload = { file: there.image('count.bin', counter), format: 'flat' } as const
  const definition = { name: 'web', mode: 'real', memoryBytes: 2 ** 20, payload } as const
  await supervisor.define(definition, { from: 'local' })
  await supervisor.start('web')
  t.like(await supervisor.save('web'), { state: 'ended', reason: 'saved', saved: true })
  t.deepEqual(types('web').slice(-3), ['paused', 'stopping', 'ended'])
  t.deepEqual(there.pids(), [])

  t.like(await supervisor.start('web', { paused: true }), { state: 'paused', saved: false })
  await supervisor.kill('web')
  await supervisor.start('web')
  await supervisor.save('web')
  t.like(await supervisor.start('web', { fresh: true }), { state: 'running', saved: false })
  await supervisor.save('web')
  await supervisor.removeSaved('web')
  t.false(supervisor.find('web').saved)
})
