// Fifty browsers on one daemon: all are served, each costs a bounded amount, and the end of one
// machine is seen by those who look at it.
import type { ExecutionContext } from 'ava'

import { until } from '../../../__test__/fixtures/until.ts'
import { kvmTest } from '../../../__test__/helpers/kvm.ts'
import { eventBufferBytes, webSocketBufferBytes } from '../src/http/limits.ts'
import { HttpDaemon } from './helpers/http-daemon.ts'
import { Visitor, pageStreams } from './helpers/visitor.ts'
import { ticking } from './helpers/web-guests.ts'

const count = 50
/** A screen has 16 viewers at most. */
const names = ['m0', 'm1', 'm2', 'm3']
const ofVisitor = (at: number): string => names[at % names.length]!

/** What may wait for a browser: in its streams, and in the WebSockets of a console and a screen. */
const heldBytes = pageStreams.length * eventBufferBytes + 2 * webSocketBufferBytes
/** A warm process has what it needs for good; what each browser costs comes on top. */
const noiseMib = 64

/** Browsers that show a machine each. */
async function visitors(t: ExecutionContext, daemon: HttpDaemon): Promise<Visitor[]> {
  const all: Visitor[] = []
  t.teardown(() => all.forEach((each) => each.leave()))
  for (let at = 0; at < count; at++) {
    const visitor = await Visitor.enter(daemon)
    all.push(visitor)
    await visitor.listen()
    await visitor.console(ofVisitor(at))
    await visitor.screen(ofVisitor(at))
  }
  return all
}

/** Whether each of them hears something new by all that it has open. */
async function allHear(daemon: HttpDaemon, all: readonly Visitor[]): Promise<boolean> {
  const before = all.map(({ heard }) => new Map(heard))
  for (const visitor of all) visitor.type('x')
  // An event for all.
  await daemon.client.define(ticking(daemon, 'other'))
  return until(() =>
    all.every(({ heard }, at) =>
      [...heard].every(([key, amount]) => amount > before[at]!.get(key)!),
    ),
  )
}

kvmTest('fifty browsers are served at once, and a machine that is killed is one', async (t) => {
  t.timeout(1_200_000)
  const daemon = await HttpDaemon.start(t, '0')
  const { client } = daemon
  for (const name of names) {
    await client.define(ticking(daemon, name))
    await client.start(name)
  }
  // Whatever is loaded once is loaded.
  const first = await Visitor.enter(daemon)
  t.is(await first.ask('/'), 200)
  first.leave()
  t.true(await daemon.isIdle())
  const before = daemon.census()

  const all = await visitors(t, daemon)
  t.true(await allHear(daemon, all), 'all are served')
  const counts = await daemon.counts()
  t.is(counts['httpWebSockets'], 2 * count)

  // While they are, the others are, too.
  const heard = all.map(heardBy)
  const times: number[] = []
  while (times.length < 200) {
    const at = performance.now()
    t.is(await all[times.length % count]!.ask('/v1/machines'), 200)
    times.push(performance.now() - at)
  }
  const slowest = Math.max(...times)
  t.true(await until(() => all.some((each, at) => heardBy(each) > heard[at]!)))
  const each = (daemon.census().mib - before.mib) / count
  t.log(`${each.toFixed(2)} MiB for each of ${count}, slowest answer ${slowest.toFixed(0)} ms`)
  t.true(each * count < noiseMib + (count * heldBytes) / 2 ** 20, `${each} MiB each`)

  const { pid } = await client.find(names[0]!)
  process.kill(pid!, 'SIGKILL')
  const ends = [`${names[0]}/serial`, `${names[0]}/screen`]
  t.true(await until(() => all.every(({ lost }, at) => at % names.length || lost.length === 2)))
  t.true(await allHear(daemon, all), 'the others are served')
  for (const [at, { lost }] of all.entries())
    t.deepEqual(lost.toSorted(), at % names.length ? [] : ends.toSorted())
  // The ends of its streams are seen before the end of its process.
  t.true(await daemon.isInState(names[0]!, 'crashed'))

  for (const visitor of all) visitor.leave()
  t.true(await daemon.isIdle())
  t.true(await until(() => daemon.census().files <= before.files), 'descriptors stay')
})

const heardBy = ({ heard }: Visitor): number =>
  [...heard.values()].reduce((sum, amount) => sum + amount, 0)
