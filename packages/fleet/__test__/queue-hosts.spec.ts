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
import { type Host, Rack, bridge, lackOfNamespaces } from './helpers/hosts.ts'
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

/** A campaign, and what became of it so far. */
interface Campaign {
  readonly ids: readonly string[]
  readonly results: Result[]
  /** Its exit code; `undefined` while it runs. */
  code(): number | null | undefined
  /** What has begun, on which host. */
  begun(): string[]
}

function startWorker(host: Host): void {
  const own = ['--redis', url, '--modules', modules, '--name', host.name, '--lock', lock]
  const words = ['fleet', 'worker', ...own, '--concurrency', `${concurrency}`, '--json']
  host.start([process.execPath, vmexit, ...words])
}

/** `vmexit fleet run` at the bridge. */
function startCampaign(t: ExecutionContext, rack: Rack, folder: string): Campaign {
  const [log, file] = [join(folder, 'log'), join(folder, 'jobs.jsonl')]
  writeFileSync(log, '')
  const routes = [{ port: 0xe9, to: 'console' }]
  const definition = { mode: 'long', payload: { guest: 'hello' }, routes }
  const ids = Array.from({ length: jobCount }, (_, at) => `job:${at}`)
  const input = { log, ms: isLong ? 2_500 : 400 }
  const lines = ids.map((id) => JSON.stringify({ id, definition, module: 'count', input }))
  writeFileSync(file, lines.join('\n'))

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
  const begun = (): string[] => readFileSync(log, 'utf8').trim().split('\n')
  return { ids, results, code: () => code, begun }
}

/** Faults, each of which returns how many jobs it can have made run once more. */
function faultsOf({ hosts }: Rack, server: Server, pick: (below: number) => number) {
  return {
    async kill() {
      const host = hosts[pick(hostCount)]!
      await host.kill()
      await sleep(pick(1_500))
      startWorker(host)
      return concurrency
    },
    async cut() {
      const host = hosts[pick(hostCount)]!
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
}

async function survives(t: ExecutionContext): Promise<void> {
  t.timeout(1_500_000)
  const folder = temporary(t)
  const rack = await Rack.open(t, hostCount)
  const server = new Server(t, rack.at(await redisWords(port, folder, ['--protected-mode', 'no'])))
  server.start()
  for (const host of rack.hosts) startWorker(host)
  const isReady = ({ said }: Host): boolean => said.some((line) => line.includes('"ready"'))
  t.true(await until(() => rack.hosts.every(isReady)), 'the workers begin')
  const campaign = startCampaign(t, rack, folder)
  const { ids, results } = campaign
  const isOver = (): boolean => campaign.code() !== undefined

  let explained = 0
  const pick = randomBelow(20_261_127)
  const faults = faultsOf(rack, server, pick)
  const counts = { kill: 0, cut: 0, redis: 0 }
  for (let fault = 0; fault < faultCount && !isOver(); fault++) {
    const seen = results.length
    // Every fault finds the campaign at work.
    await until(() => results.length > seen + 1 || isOver())
    const kind = fault % 8 === 2 ? 'redis' : fault % 2 === 0 ? 'kill' : 'cut'
    counts[kind]++
    explained += await faults[kind]()
  }
  t.true(await until(isOver, 900_000), 'the campaign ends')

  // A busy host may leave one of these for longer than a lock lasts, and that one says so afterwards.
  const isLoss = (line: string): boolean => /lock lost|Missing lock/.test(line)
  const lost = (): number => rack.hosts.flatMap(({ said }) => said.filter(isLoss)).length
  const again = (): number => campaign.begun().length - jobCount
  await until(() => again() <= explained + lost())
  const begun = campaign.begun()
  t.log(`${begun.length} begun for ${jobCount}, ${explained} again are explained`, counts)
  t.deepEqual(results.map(({ id }) => id).toSorted(), ids.toSorted(), 'none lost, none twice')
  for (const { id, value } of results) t.deepEqual(value, { reason: 'hlt', rax: '42' }, id)
  t.is(campaign.code(), 0)
  t.true(again() <= explained + lost(), `${again()} ran again`)
  t.true(new Set(begun.map((line) => line.split(' ')[1])).size > 1, 'by several hosts')
}

const title = `${jobCount} jobs on ${hostCount} hosts that are killed and cut off, and a Redis that is killed`
const lack = lackOfNamespaces() ?? (await lackOfRedis())
if (lack === undefined) kvmTest(title, survives)
else needs(title, lack)
