// Machines that start and stop again and again leave nothing in their daemon.
import { readdirSync } from 'node:fs'

import { kvmTest } from '../../../__test__/helpers/kvm.ts'
import { affordable } from '../../../__test__/helpers/speed.ts'
import { place, sleeper, supervise } from './helpers/supervised.ts'

const isSoak = process.env['VMEXIT_SOAK'] === '1'

/** Starts and stops, most of them in a group, whose process one sleeping machine keeps. */
const rounds = isSoak ? 10_000 : affordable(200)

/** Every so many machines have a process of their own. */
const own = 20

/** What garbage collection and code that becomes warm account for. */
const slackBytes = 64 * 2 ** 20

const descriptors = (): number => readdirSync('/proc/self/fd').length

function residentBytes(): number {
  globalThis.gc?.()
  return process.memoryUsage().rss
}

kvmTest(`${rounds} starts and stops leave memory and descriptors as they were`, async (t) => {
  t.timeout(isSoak ? 7_200_000 : 600_000)
  const there = place(t)
  const { supervisor, store, close } = await supervise(t, there)
  const base = sleeper(there)
  const manager = { group: 'g' }
  await supervisor.define({ name: 'keeper', ...base, manager }, { from: 'local' })
  await supervisor.define({ name: 'mate', ...base, manager }, { from: 'local' })
  await supervisor.define({ name: 'own', ...base }, { from: 'local' })
  await supervisor.start('keeper')
  let told = 0
  for (let index = 0; index < 100; index++) supervisor.onEvent(() => told++)
  const round = async (index: number): Promise<void> => {
    const name = index % own === 0 ? 'own' : 'mate'
    await supervisor.start(name)
    await supervisor.kill(name)
  }
  for (let index = 0; index < 40; index++) await round(index)
  const before = { bytes: residentBytes(), open: descriptors(), seq: supervisor.lastSeq }
  told = 0
  for (let index = 0; index < rounds; index++) await round(index)
  t.is(descriptors(), before.open)
  const grown = residentBytes() - before.bytes
  t.true(grown < slackBytes, `${grown} bytes more`)
  // defined, starting, running, stopping, ended: four of them each round.
  t.is(supervisor.lastSeq - before.seq, 4 * rounds)
  t.is(told, 100 * 4 * rounds)
  t.deepEqual(readdirSync(there.runtime).toSorted(), ['.group-g', 'keeper'])
  t.deepEqual(store.problems, [])
  t.log(`${rounds} rounds: ${Math.round(grown / 1024)} KiB more, ${before.open} descriptors`)
  await close()
})
