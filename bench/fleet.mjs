// What a queue costs: jobs of 100 ms through Redis on loopback, beside the same child processes without one, alternately; and what a million jobs leave in
// memory. `node --expose-gc bench/fleet.mjs [--million]` after `npm run build`; needs a redis-server, the host's or Debian's.
import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { availableParallelism, tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { map } from '../packages/fleet/dist/index.js'
import { fetchRedis, within } from '../scripts/viewers.mjs'

const JOBS = 200
const ROUNDS = 3
const MS = 100
const children = availableParallelism()

const folder = mkdtempSync(join(tmpdir(), 'vmexit-fleet-'))
writeFileSync(
  join(folder, 'wait.mjs'),
  `export default ({ input }) => new Promise((resolve) => setTimeout(resolve, input, null))\n`,
)

function* jobs(count, ms) {
  for (let at = 0; at < count; at++) yield { id: `${at}`, module: 'wait', input: ms }
}

/** Results a second, from the first result on, so that no start of a process counts. */
async function rate(count, ms, options) {
  let [seen, first] = [0, 0]
  for await (const { status } of map(jobs(count, ms), options)) {
    if (status !== 'done') throw new Error('a job has failed')
    if (seen++ === 0) first = performance.now()
  }
  return ((seen - 1) / (performance.now() - first)) * 1000
}

async function freePort() {
  const listener = createServer().listen(0, '127.0.0.1')
  await new Promise((done) => listener.once('listening', done))
  const { port } = listener.address()
  await new Promise((done) => listener.close(done))
  return port
}

const mebibytes = (bytes) => (bytes / 2 ** 20).toFixed(1)

const median = (values) => values.toSorted((one, other) => one - other)[values.length >> 1]

const port = await freePort()
const connection = `redis://127.0.0.1:${port}`
const redisWords = ['redis-server', '--port', `${port}`, '--bind', '127.0.0.1', '--dir', folder]
const kept = ['--save', '', '--appendonly', 'yes', '--loglevel', 'warning']
const [redisCommand, ...redisArgs] = within(await fetchRedis(), [...redisWords, ...kept])
const redis = spawn(redisCommand, redisArgs, { stdio: 'ignore' })
const words = ['fleet', 'worker', '--redis', connection, '--modules', folder, '--json']
const own = [resolve('dist/cli/main.js'), ...words, '--concurrency', `${children}`]
const worker = spawn(process.execPath, own, { stdio: ['ignore', 'pipe', 'inherit'] })
try {
  await new Promise((done) => worker.stdout.once('data', done))
  worker.stdout.resume()
  const rates = { alone: [], queue: [] }
  for (let round = 0; round < ROUNDS; round++) {
    rates.alone.push(await rate(JOBS, MS, { modules: folder, concurrency: children }))
    rates.queue.push(await rate(JOBS, MS, { connection }))
  }
  const [alone, queue] = [median(rates.alone), median(rates.queue)]
  const share = (queue / alone).toFixed(3)
  console.log(`${children} children, jobs of ${MS} ms, ${JOBS} of them, median of ${ROUNDS}`)
  console.log(`without a queue  ${alone.toFixed(2)} a second`)
  console.log(`through Redis    ${queue.toFixed(2)} a second, ${share} of it`)
  if (process.argv.includes('--million')) await million()
} finally {
  for (const child of [worker, redis]) {
    child.kill('SIGKILL')
    await new Promise((done) => child.once('exit', done))
  }
  rmSync(folder, { recursive: true })
}

/** Jobs that do nothing, of a generator of a million, for a minute. */
async function million() {
  const end = performance.now() + 60_000
  const sizes = []
  let seen = 0
  for await (const result of map(jobs(1_000_000, 0), { connection })) {
    if (result.status !== 'done') throw new Error('a job has failed')
    if (++seen % 5_000 === 0) {
      gc()
      const { heapUsed, rss } = process.memoryUsage()
      sizes.push(`${mebibytes(heapUsed)} of ${mebibytes(rss)}`)
    }
    if (performance.now() > end) break
  }
  console.log(`${seen} of a million in a minute; MiB in use of this process at each 5,000:`)
  console.log(sizes.join(', '))
}
