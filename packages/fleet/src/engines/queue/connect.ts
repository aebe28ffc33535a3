import { Redis } from 'ioredis'

import { fleetError } from '../../job/error.ts'

/** How long the first connection may take. */
const FIRST_MS = 10_000

/** Milliseconds between attempts to reach a Redis that went away. */
const AGAIN_MS = { least: 100, most: 2_000 }

/**
 * A client of Redis or Valkey, by a URL: `redis://[user:password@]host[:port][/database]`, or
 * `rediss://` for TLS. A connection that breaks later is made again for as long as it takes, and
 * what was asked meanwhile is asked then.
 *
 * @throws `ERR_INVALID_OPTION`, `ERR_TIMEOUT`
 */
export async function connect(url: string, what = 'connection'): Promise<Redis> {
  const client = clientOf(url, what)
  let last = 'no answer'
  const remember = (error: Error): void => {
    last = error.message
  }
  client.on('error', remember)
  const ready = new Promise<boolean>((resolve) => {
    const timer = setTimeout(() => resolve(false), FIRST_MS)
    client.once('ready', () => {
      clearTimeout(timer)
      resolve(true)
    })
    // Redis says so when the password or user is wrong; no further attempt helps.
    client.on('error', ({ message }) => {
      if (!/^(WRONGPASS|NOAUTH|NOPERM)/.test(message)) return
      clearTimeout(timer)
      resolve(false)
    })
  })
  if (await ready) return client
  client.disconnect()
  throw fleetError('ERR_TIMEOUT', `no connection to Redis at ${withoutSecrets(url)}: ${last}`)
}

function clientOf(url: string, what: string): Redis {
  if (!/^rediss?:\/\//.test(url) || !URL.canParse(url))
    throw fleetError('ERR_INVALID_OPTION', `${what} must be a redis:// or rediss:// URL`)
  return new Redis(url, {
    // Null: a command waits for the connection, however long that takes. BullMQ demands it.
    maxRetriesPerRequest: null,
    retryStrategy: (times) => Math.min(AGAIN_MS.least * times, AGAIN_MS.most),
    // A host that is cut off sends no reset: only silence tells.
    keepAlive: 5_000,
    // Longer than the waits of BullMQ, which Redis answers after ten seconds at most.
    socketTimeout: 15_000,
    connectTimeout: 5_000,
  })
}

/** The address without user and password. */
function withoutSecrets(url: string): string {
  const { protocol, host, pathname } = new URL(url)
  return `${protocol}//${host}${pathname}`
}
