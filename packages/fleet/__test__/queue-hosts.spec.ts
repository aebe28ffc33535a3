// Four hosts, real machines, and faults: hosts killed and cut off at random, Redis killed.
import { type ChildProcess, spawn } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'

import type { ExecutionContext } from 'ava'

import { until } from '../../../__test__/fixtures/until.ts'
import { kvmTest } from '../../../__test__/helpers/kvm.ts'
import { randomBelow } from '../../../__test__/helpers/random.ts'
import type { Result } from '../src/job/job.ts'
import { temporary } from './helpers/folder.ts'
import { Rack, bridge, lackOfNamespaces } from './helpers/hosts.ts'
import { lackOfRedis, needs, redisWords } from './helpers/redis.ts'

const isLong = process.env['VMEXIT_SOAK'] === '1'
const [hostCount, concurrency] = [4, 2]
const jobCount = isLong ? 200 : 32
const faultCount = isLong ? 24 : 3
const port = 6379
const url = `redis://${bridge}:${port}`
const vmexit = resolve('dist/cli/main.js')
const modules = resolve('packages/fleet/__test__/fixtures/modules')

/** Longer than a busy machine may take to renew a lock. */
const lock = '4s'

/** A redis-server at the bridge, which keeps what it has. */
class Server {
  readonly #words: readonly string[]
  #process: ChildProcess | undefined

  constructor(t: ExecutionContext, words: readonly string[]) {
    this.#words = words
    t.teardown(() => this.kill())
  }

  start(): void {
    const [command, ...args] = this.#words
    this.#process = spawn(command!, args, { stdio: 'ignore' })
  }

  async kill(): Promise<void> {
    const child = this.#process
    child?.kill('SIGKILL')
    await until(() => child === undefined || child.exitCode !== null || child.signalCode !== null)
  }
}

async function survives(t: ExecutionContext): Promise<void> {
  t.timeout(isLong ? 1_000_000 : 120_000)
  const folder = temporary(t)
  const [log, file] = [join(folder, 'log'), join(folder, 'jobs.jsonl')]
  writeFileSync(log, '')
  const definition = {
    mode: 'long',
    payload: { guest: 'hello' },
    routes: [{ port: 0xe9, to: 'console' }],
  }
  const jobs = Array.from({ length: jobCount }, (_, at) => ({
    id: `job:${at}`,
    definition,
    module: 'count',
    input: { log, ms: 400 },
  }))
  writeFileSync(file, jobs.map((job) => JSON.stringify(job)).join('\n'))

  const rack = await Rack.open(t, hostCount)
  const server = new Server(t, rack.at(await redisWords(port, folder, ['--protected-mode', 'no'])))
  server.start()
  const start = (host: Rack['hosts'][number]): void => {
    const own = ['--redis', url, '--modules', modules, '--name', host.name, '--lock', lock]
    const words = ['fleet', 'worker', ...own, '--concurrency', `${concurrency}`, '--json']
    host.start([process.execPath, vmexit, ...words])
  }
  for (const host of rack.hosts) start(host)

  const results: Result[] = []
  const words = ['fleet', 'run', file, '--redis', url, '--concurrency', '40', '--json']
  const [command, ...args] = rack.at([process.execPath, vmexit, ...words])
  const producer = spawn(command!, args, { stdio: ['ignore', 'pipe', 'inherit'] })
  t.teardown(() => producer.kill('SIGKILL'))
  let code: number | null | undefined
  producer.on('exit', (exit) => (code = exit))
  createInterface({ input: producer.stdout }).on('line', (line) => {
    const told = JSON.parse(line) as Result
    if (told.id !== undefined) results.push(told)
  })

  // How many jobs the faults can have made run once more than they had to.
  let explained = 0
  const pick = randomBelow(20_261_127)
  const faults = {
    async kill() {
      const host = rack.hosts[pick(hostCount)]!
      await host.kill()
      await sleep(pick(1_500))
      start(host)
      return concurrency
    },
    async cut() {
      const host = rack.hosts[pick(hostCount)]!
      await host.link('down')
      // Sometimes less, and sometimes more, than the lock lasts.
      await sleep(2_000 + pick(5_000))
      await host.link('up')
      return concurrency
    },
    async redis() {
      await server.kill()
      await sleep(300 + pick(1_000))
      server.start()
      return hostCount * concurrency
    },
  }
  const kinds = ['kill', 'cut', 'redis'] as const
  const counts = { kill: 0, cut: 0, redis: 0 }
  for (let fault = 0; fault < faultCount && code === undefined; fault++) {
    const seen = results.length
    // Every fault finds the campaign at work.
    await until(() => results.length > seen + 1 || code !== undefined)
    const isRare = fault % 8 === 2
    const kind = isRare ? 'redis' : kinds[fault < 2 ? fault : pick(2)]!
    counts[kind]++
    explained += await faults[kind]()
  }
  t.true(await until(() => code !== undefined, isLong ? 900_000 : 100_000), 'the campaign ends')
  const failed = results.filter(({ status }) => status === 'failed')
  t.deepEqual(failed.slice(0, 3), [])
  t.is(code, 0)

  const begun = readFileSync(log, 'utf8').trim().split('\n')
  t.log(`${jobCount} jobs, ${begun.length} begun, at most ${explained} explained again`, counts)
  t.is(results.length, jobCount, 'none is lost, none comes twice')
  t.deepEqual(results.map(({ id }) => id).toSorted(), jobs.map(({ id }) => id).toSorted())
  for (const { id, value } of results) t.deepEqual(value, { reason: 'hlt', rax: '42' }, id)
  t.true(begun.length >= jobCount)
  t.true(begun.length - jobCount <= explained, `${begun.length - jobCount} ran again`)
  t.true(new Set(begun.map((line) => line.split(' ')[1])).size > 1, 'by several hosts')
}

const title = `${jobCount} jobs on ${hostCount} hosts that are killed and cut off, and a Redis that is killed`
const lack = lackOfNamespaces() ?? (await lackOfRedis())
if (lack === undefined) kvmTest(title, survives)
else needs(title, lack)
