// Results of a queue: each id once, whatever breaks on the way.
import { setTimeout as sleep } from 'node:timers/promises'

import { until } from '../../../__test__/fixtures/until.ts'
import type { Job, Result } from '../src/job/job.ts'
import { all, campaign, done, probes, startWorker } from './helpers/fleet.ts'
import { RedisServer, redisTest } from './helpers/redis.ts'

const queue = 'test'

await redisTest('each job comes back once, with its colon, in the order of the ends', async (t) => {
  const { url } = await RedisServer.open(t)
  let release = (): void => {}
  const others = new Promise<void>((resolve) => (release = resolve))
  const run = async ({ id }: Job) => {
    if (id === 'job:0') await others
    return { ...done, value: id }
  }
  await startWorker(t, url, run, { queue })
  const results: Result[] = []
  for await (const result of campaign(probes(8), url)) {
    results.push(result)
    if (results.length === 7) release()
  }
  t.is(results.at(-1)!.id, 'job:0')
  const expected = [...probes(8)].map(({ id }) => id)
  t.deepEqual(results.map(({ id }) => id).toSorted(), expected)
  for (const { id, value, status, attempts, host } of results)
    t.deepEqual(
      { value, status, attempts, host },
      { value: id, status: 'done', attempts: 1, host: 'a' },
    )
})

await redisTest('jobs are asked for as there is room', async (t) => {
  const { url } = await RedisServer.open(t)
  let made = 0
  function* many(): Generator<Job> {
    for (const job of probes(1_000_000)) {
      made++
      yield job
    }
  }
  const results = campaign(many(), url, { concurrency: 10 })
  const first = results.next()
  t.true(await until(() => made === 10))
  await sleep(200)
  t.is(made, 10)
  await startWorker(t, url, () => Promise.resolve(done), { queue })
  await first
  t.true(await until(() => made === 11))
  await sleep(200)
  t.is(made, 11, 'results that are not taken count')
  await results.return(undefined)
})

await redisTest('a Redis that is killed and comes back loses nothing', async (t) => {
  const server = await RedisServer.open(t)
  const begun: string[] = []
  const run = async ({ id }: Job) => {
    begun.push(id)
    await sleep(50)
    return done
  }
  await startWorker(t, server.url, run, { queue })
  const ids: string[] = []
  for await (const { id, status } of campaign(probes(60), server.url)) {
    t.is(status, 'done')
    ids.push(id)
    if (ids.length !== 10 && ids.length !== 30) continue
    await server.kill()
    await sleep(300)
    await server.start()
  }
  t.is(ids.length, 60)
  t.is(new Set(ids).size, 60)
  t.true(begun.length <= 60 + 2 * 2, `${begun.length} begun; each fault hits the two that ran`)
})

await redisTest('what Redis has forgotten is added again', async (t) => {
  const server = await RedisServer.open(t)
  const results = all(campaign(probes(20), server.url))
  const client = server.client(t)
  t.true(
    await until(
      () => true,
      1,
      () => sleep(1),
    ),
  )
  while ((await client.llen('bull:test:wait')) < 16) await sleep(10)
  await client.flushall()
  await startWorker(t, server.url, () => Promise.resolve(done), { queue })
  t.is((await results).length, 20)
})

await redisTest('a campaign goes on where another process has left it', async (t) => {
  const server = await RedisServer.open(t)
  const begun: string[] = []
  const run = async ({ id }: Job) => {
    begun.push(id)
    await sleep(20)
    return done
  }
  const { worker } = await startWorker(t, server.url, run, { queue })
  const first = campaign(probes(20), server.url, { campaign: 'nightly' })
  for (let at = 0; at < 5; at++) await first.next()
  await first.return(undefined)
  await worker.drain()
  const before = begun.length
  await startWorker(t, server.url, run, { queue, name: 'b' })
  const results = await all(campaign(probes(20), server.url, { campaign: 'nightly' }))
  t.is(results.length, 20)
  t.true(before >= 5)
  t.is(new Set(begun).size, 20)
  t.is(begun.length, 20, 'none ran twice')
  t.is((await all(campaign(probes(3), server.url))).length, 3)
  t.is(begun.length, 23, 'a campaign without a name is like no other')
})
