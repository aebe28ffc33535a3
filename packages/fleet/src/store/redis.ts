import { readFile, stat } from 'node:fs/promises'
import { Redis } from 'ioredis'

import { fleetError } from '../job/error.ts'
import { type Store, absent, checkHash, hashOf, unreachable } from './store.ts'

/** Redis holds all of it in memory, and takes values up to 512 MiB. */
const mostBytes = 64 << 20

/**
 * Redis as a store, for content up to 64 MiB: keys `vmexit:content:HASH`.
 *
 * @example
 * ```ts
 * import { redisStore } from '@vmexit/fleet'
 *
 * const store = redisStore('redis://127.0.0.1:6379')
 * await store.close()
 * ```
 *
 * @category Fleet
 */
export function redisStore(connection: string): Store {
  return new RedisStore(connection)
}

const keyOf = (hash: string): string => `vmexit:content:${checkHash(hash)}`

class RedisStore implements Store {
  readonly #connection: string
  #client: Redis | undefined

  constructor(connection: string) {
    const url = URL.canParse(connection) ? new URL(connection) : undefined
    if (url?.protocol !== 'redis:' && url?.protocol !== 'rediss:')
      throw fleetError('ERR_INVALID_OPTION', 'a store in Redis must be a redis: or rediss: URL')
    this.#connection = connection
  }

  async put(content: Uint8Array): Promise<string> {
    if (content.length > mostBytes)
      throw fleetError('ERR_LIMIT', `Redis takes at most ${mostBytes} bytes, not ${content.length}`)
    const hash = hashOf(content)
    await this.#ask((client) => client.set(keyOf(hash), Buffer.from(content)))
    return hash
  }

  async putFile(path: string): Promise<string> {
    const { size } = await stat(path)
    if (size > mostBytes)
      throw fleetError('ERR_LIMIT', `Redis takes at most ${mostBytes} bytes, '${path}' has ${size}`)
    return await this.put(await readFile(path))
  }

  async open(hash: string, from: number): Promise<AsyncIterable<Uint8Array>> {
    const content = await this.#ask((client) => client.getBuffer(keyOf(hash)))
    if (!content) throw absent(hash, 'Redis')
    return only(content.subarray(from))
  }

  async close(): Promise<void> {
    const client = this.#client
    this.#client = undefined
    client?.disconnect()
  }

  async #ask<T>(act: (client: Redis) => Promise<T>): Promise<T> {
    if (!this.#client) {
      this.#client = new Redis(this.#connection, { maxRetriesPerRequest: 3 })
      // Each call says it by itself.
      this.#client.on('error', () => undefined)
    }
    try {
      return await act(this.#client)
    } catch (error) {
      throw unreachable('Redis', error)
    }
  }
}

async function* only(content: Uint8Array): AsyncGenerator<Uint8Array> {
  yield content
}
