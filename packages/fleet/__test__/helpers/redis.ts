// Debian's redis-server, which is fetched where the host has none, on loopback.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'

import test, { type ExecutionContext } from 'ava'
import { Redis } from 'ioredis'

import { until } from '../../../../__test__/fixtures/until.ts'
import { temporary } from './folder.ts'

interface Scripts {
  fetchRedis(): Promise<string>
  within(usr: string, words: readonly string[], flags?: readonly string[]): string[]
}

const scripts = (await import(
  new URL('../../../../scripts/viewers.mjs', import.meta.url).href
)) as Scripts

/** Where it is, or why there is none. */
const found = scripts.fetchRedis().then(
  (usr) => ({ usr }),
  (error: Error) => ({ reason: error.message.trim().split('\n').at(-1)! }),
)

/** Words that start a redis-server which keeps what it has in a folder. */
export async function redisWords(port: number, folder: string, more: readonly string[] = []) {
  const redis = await found
  if ('reason' in redis) throw new Error(redis.reason)
  const own = ['--port', `${port}`, '--dir', folder, '--save', '', '--loglevel', 'warning']
  const kept = ['--appendonly', 'yes', '--appendfsync', 'always']
  return scripts.within(redis.usr, ['redis-server', ...own, ...kept, ...more])
}

/** A server of one test. */
export class RedisServer {
  readonly port: number
  readonly #folder: string
  #process: ChildProcess | undefined

  private constructor(port: number, folder: string) {
    this.port = port
    this.#folder = folder
  }

  /** Starts one, which ends with the test. */
  static async open(t: ExecutionContext): Promise<RedisServer> {
    const listener = createServer().listen(0, '127.0.0.1')
    await once(listener, 'listening')
    const { port } = listener.address() as AddressInfo
    await new Promise((resolve) => listener.close(resolve))
    const server = new RedisServer(port, temporary(t))
    await server.start()
    t.teardown(() => server.kill())
    return server
  }

  get url(): string {
    return `redis://127.0.0.1:${this.port}`
  }

  /** Starts it, with what it had when it was killed. */
  async start(): Promise<void> {
    const [command, ...args] = await redisWords(this.port, this.#folder, ['--bind', '127.0.0.1'])
    const child = spawn(command!, args, { stdio: ['ignore', 'ignore', 'ignore'] })
    this.#process = child
    const client = new Redis(this.url, { maxRetriesPerRequest: null, retryStrategy: () => 50 })
    client.on('error', () => {})
    const isThere = client.ping().then(() => true)
    const isGone = once(child, 'exit').then(() => false)
    const works = await Promise.race([isThere, isGone])
    client.disconnect()
    if (!works) throw new Error('redis-server has ended')
  }

  /** Kills it, without a chance to save. */
  async kill(): Promise<void> {
    const child = this.#process
    child?.kill('SIGKILL')
    await until(() => child === undefined || child.exitCode !== null || child.signalCode !== null)
  }

  /** A client, which ends with the test. */
  client(t: ExecutionContext): Redis {
    const client = new Redis(this.url, { maxRetriesPerRequest: null })
    client.on('error', () => {})
    t.teardown(() => client.disconnect())
    return client
  }
}

/**
 * A test that needs a redis-server. Where there is none it is skipped with the reason, and fails
 * with it under VMEXIT_REQUIRE_CLIENTS=1.
 */
export async function redisTest(
  title: string,
  run: (t: ExecutionContext) => Promise<void>,
): Promise<void> {
  const redis = await found
  if (!('reason' in redis)) return test(title, run)
  needs(title, redis.reason)
}

/** A test that cannot run here, for a reason. */
export function needs(title: string, reason: string): void {
  if (process.env['VMEXIT_REQUIRE_CLIENTS'] === '1') return test(title, (t) => t.fail(reason))
  test.skip(`${title}: ${reason}`, (t) => t.pass())
}

/** Why there is no redis-server; `undefined` where there is one. */
export async function lackOfRedis(): Promise<string | undefined> {
  const redis = await found
  return 'reason' in redis ? redis.reason : undefined
}
