// Workers: what they cannot do goes elsewhere, what breaks runs again, and they leave nothing.
import { setTimeout as sleep } from 'node:timers/promises'

import { Queue } from 'bullmq'

import { until } from '../../../__test__/fixtures/until.ts'
import { workersOf } from '../src/engines/queue/hosts.ts'
import type { Job } from '../src/job/job.ts'
import type { Outcome } from '../src/job/outcome.ts'
import type { AttemptOptions } from '../src/child/children.ts'
import { able, all, campaign, done, probes, startWorker } from './helpers/fleet.ts'
import { RedisServer, redisTest } from './helpers/redis.ts'

const queue = 'test'
const times = { durationMs: 1, guestMs: 0 }

/** Runs until its signal ends it. */
const endless = (_: Job, { signal }: AttemptOptions): Promise<Outcome> =>
  new Promise((resolve, reject) => {
    signal?.addEventListener('abort', () => reject(signal.reason))
  })

await redisTest('a job that kills its process ends after its attempts', async (t) => {
  const { url } = await RedisServer.open(t)
  const begun: Record<string, number> = {}
  const error = { code: 'ERR_INTERNAL', message: 'died by SIGSEGV' }
  const run = ({ id }: Job): Promise<Outcome> => {
    begun[id] = (begun[id] ?? 0) + 1
    return Promise.resolve(id === 'job:1' ? { kind: 'crashed', error, ...times } : done)
  }
  await startWorker(t, url, run, { queue })
  const results = await all(campaign(probes(4), url, { attempts: 3 }))
  t.deepEqual(begun, { 'job:0': 1, 'job:1': 3, 'job:2': 1, 'job:3': 1 })
  const failed = results.filter(({ status }) => status === 'failed')
  t.is(failed.length, 1)
  t.like(failed[0], { id: 'job:1', attempts: 3, error })
})

await redisTest('what is the fault of the job is not tried again', async (t) => {
  const { url } = await RedisServer.open(t)
  let begun = 0
  const error = { code: 'ERR_PAYLOAD', message: 'truncated' }
  const run = (): Promise<Outcome> => {
    begun++
    return Promise.resolve({ kind: 'failed', error, ...times })
  }
  await startWorker(t, url, run, { queue })
  const [result] = await all(campaign(probes(1), url))
  t.like(result, { status: 'failed', attempts: 1, error })
  t.is(begun, 1)
})

await redisTest('a job goes where its needs are met', async (t) => {
  const { url } = await RedisServer.open(t)
  const run = (): Promise<Outcome> => Promise.resolve(done)
  const labels = { ...able, backend: 'kvm_intel', modes: ['real', 'paged32'] }
  for (const name of ['a', 'b', 'c']) await startWorker(t, url, run, { queue, name })
  await startWorker(t, url, run, { queue, name: 'intel', labels })
  const needs = { backend: 'kvm_intel', modes: ['paged32'] } as const
  const results = await all(campaign(probes(6, { needs }), url))
  t.deepEqual([...new Set(results.map(({ host, status }) => `${host} ${status}`))], ['intel done'])
})

await redisTest('a job that no worker can do fails with the reasons', async (t) => {
  const { url } = await RedisServer.open(t)
  const run = (): Promise<Outcome> => Promise.resolve(done)
  await startWorker(t, url, run, { queue, name: 'a' })
  const none = { ...able, backend: 'none', modes: [], modules: [] }
  await startWorker(t, url, run, { queue, name: 'b', labels: none })
  const jobs: Job[] = [
    { id: 'intel', module: 'probe', needs: { backend: 'kvm_intel' } },
    { id: 'module', module: 'unheard-of' },
  ]
  const results = await all(campaign(jobs, url))
  const told = Object.fromEntries(results.map(({ id, error }) => [id, error]))
  t.is(told['intel']!.code, 'ERR_KVM_CAPABILITY')
  t.regex(told['intel']!.message, /^no worker can do it: .*needs kvm_intel, this host has kvm_pvm/)
  t.regex(told['module']!.message, /no module 'unheard-of' is installed here/)
})

await redisTest('a job without KVM where it runs is done where KVM is', async (t) => {
  const { url } = await RedisServer.open(t)
  const none = { ...able, backend: 'none' }
  await startWorker(t, url, () => Promise.resolve(done), { queue, name: 'none', labels: none })
  await startWorker(t, url, () => Promise.resolve(done), { queue, name: 'kvm' })
  const job = { id: 'm', snapshot: { hash: `sha256-${'0'.repeat(64)}` } }
  const [result] = await all(campaign([job], url))
  t.is(result!.host, 'kvm')
})

await redisTest(
  'the end of a campaign ends what runs of it and takes back what waits',
  async (t) => {
    const { url } = await RedisServer.open(t)
    const { events } = await startWorker(t, url, endless, { queue })
    const controller = new AbortController()
    const results = all(campaign(probes(10), url, { signal: controller.signal }))
    t.true(await until(() => events.filter(({ event }) => event === 'began').length === 2))
    controller.abort(new Error('enough'))
    await t.throwsAsync(results, { message: 'enough' })
    t.true(await until(() => events.filter(({ event }) => event === 'cancelled').length === 2))
    await sleep(100)
    t.is(events.filter(({ event }) => event === 'began').length, 2, 'nothing further began')
  },
)

await redisTest('a worker that drains ends what it has begun, and begins nothing', async (t) => {
  const server = await RedisServer.open(t)
  const begun: string[] = []
  const run = async ({ id }: Job): Promise<Outcome> => {
    begun.push(id)
    await sleep(200)
    return done
  }
  const { worker } = await startWorker(t, server.url, run, { queue })
  const results = campaign(probes(6), server.url)
  const first = results.next()
  t.true(await until(() => begun.length === 2))
  await worker.drain()
  t.is(begun.length, 2)
  t.is((await first).value.status, 'done')
  t.deepEqual(await workersOf(server.client(t), queue), [])
  await startWorker(t, server.url, run, { queue, name: 'b' })
  t.is((await all(results)).length, 5)
  t.is(begun.length, 6)
})

await redisTest('a worker that ends at once gives back what ran', async (t) => {
  const { url } = await RedisServer.open(t)
  const { worker, events } = await startWorker(t, url, endless, { queue, lockMs: 60_000 })
  const results = all(campaign(probes(2), url))
  t.true(await until(() => events.filter(({ event }) => event === 'began').length === 2))
  await worker.end()
  // Long before the locks would have expired.
  await startWorker(t, url, () => Promise.resolve(done), { queue, name: 'b' })
  const ended = await Promise.race([results, sleep(10_000, [])])
  t.deepEqual(
    ended.map(({ host, attempts }) => `${host} ${attempts}`),
    ['b 1', 'b 1'],
  )
})

await redisTest('a user of Redis who reaches this queue alone is enough', async (t) => {
  const server = await RedisServer.open(t)
  const client = server.client(t)
  const places = ['~bull:test:*', '~vmexit-fleet:test:*']
  const rights = ['+@all', '-@admin', '-@dangerous', '+info', '+client']
  await client.call('ACL', 'SETUSER', 'fleet', 'on', '>secret', ...places, ...rights)
  const url = server.url.replace('//', '//fleet:secret@')
  const run = async (job: Job, { shared }: AttemptOptions): Promise<Outcome> => {
    await shared.add('ids', job.id)
    await shared.set('last', job.id)
    return { ...done, value: (await shared.get('ids')) ?? null }
  }
  await startWorker(t, url, run, { queue })
  const results = await all(campaign(probes(5), url))
  t.deepEqual(new Set(results.map(({ status }) => status)), new Set(['done']))
  t.true(results.some(({ value }) => Array.isArray(value) && value.length === 5))
  await t.throwsAsync(all(campaign(probes(1), url, { queue: 'other' })), { message: /NOPERM/ })
  const wrong = server.url.replace('//', '//fleet:wrong@')
  await t.throwsAsync(all(campaign(probes(1), wrong)), {
    code: 'ERR_TIMEOUT',
    message: /WRONGPASS/,
  })
})

await redisTest('rubbish in the queue fails, and the worker goes on', async (t) => {
  const server = await RedisServer.open(t)
  const { events } = await startWorker(t, server.url, () => Promise.resolve(done), { queue })
  const rubbish = new Queue(queue, { connection: server.client(t) })
  rubbish.on('error', () => {})
  const job = { id: 'x', module: '../../etc/passwd' }
  const shapes = [null, 7, {}, { campaign: 'c' }, { campaign: 'c', job: null }]
  const nearly = [
    { campaign: 'c', job },
    { campaign: 'c', job: { id: 'a' }, tries: { hopeful: -1 } },
  ]
  for (const [at, data] of [...shapes, ...nearly].entries())
    await rubbish.add('job', data, { jobId: `c~${at}` })
  t.true(await until(() => events.filter(({ event }) => event === 'ended').length === 7))
  t.is(events.filter(({ event }) => event === 'began').length, 0)
  t.is((await all(campaign(probes(3), server.url))).length, 3)
})
