import type { Redis } from 'ioredis'

import { fleetError } from '../../job/error.ts'
import type { JsonValue } from '../../job/job.ts'
import { type Shared, checkShared, sharedLimits } from '../../job/shared.ts'
import { keys } from './names.ts'

/** Seconds after their last change for which the shared values of a campaign are kept. */
const KEPT_SECONDS = 86_400

// KEYS: the hash of values (`v:` and the key), of sizes of sets (`z:`) and of all together
// (`size`), and the set of the key. ARGV: the key, the value as JSON, the bound, seconds.

const SET = `
local v, z = 'v:' .. ARGV[1], 'z:' .. ARGV[1]
local before = redis.call('HSTRLEN', KEYS[1], v) + tonumber(redis.call('HGET', KEYS[1], z) or '0')
local size = tonumber(redis.call('HGET', KEYS[1], 'size') or '0') + #ARGV[2] - before
if size > tonumber(ARGV[3]) then return -1 end
redis.call('DEL', KEYS[2])
redis.call('HDEL', KEYS[1], z)
redis.call('HSET', KEYS[1], v, ARGV[2], 'size', size)
redis.call('EXPIRE', KEYS[1], ARGV[4])
return 1`

const ADD = `
if redis.call('HEXISTS', KEYS[1], 'v:' .. ARGV[1]) == 1 then return -2 end
if redis.call('SISMEMBER', KEYS[2], ARGV[2]) == 1 then return 0 end
local size = tonumber(redis.call('HGET', KEYS[1], 'size') or '0') + #ARGV[2]
if size > tonumber(ARGV[3]) then return -1 end
redis.call('SADD', KEYS[2], ARGV[2])
redis.call('HINCRBY', KEYS[1], 'z:' .. ARGV[1], #ARGV[2])
redis.call('HSET', KEYS[1], 'size', size)
redis.call('EXPIRE', KEYS[1], ARGV[4])
redis.call('EXPIRE', KEYS[2], ARGV[4])
return 1`

/** Small values that the jobs of one campaign share, on whatever host they run. */
export class RedisShared implements Shared {
  readonly #redis: Redis
  readonly #key: string

  constructor(redis: Redis, queue: string, campaign: string) {
    this.#redis = redis
    this.#key = keys.shared(queue, campaign)
  }

  async get(key: string): Promise<JsonValue | undefined> {
    checkShared(key)
    const value = await this.#redis.hget(this.#key, `v:${key}`)
    if (value !== null) return JSON.parse(value) as JsonValue
    const members = await this.#redis.smembers(this.#set(key))
    return members.length === 0 ? undefined : (JSON.parse(`[${members.join(',')}]`) as JsonValue)
  }

  async set(key: string, value: JsonValue): Promise<void> {
    await this.#store(SET, key, value)
  }

  async add(key: string, value: JsonValue): Promise<boolean> {
    return (await this.#store(ADD, key, value)) === 1
  }

  #set(key: string): string {
    return `${this.#key}:${key}`
  }

  async #store(script: string, key: string, value: JsonValue): Promise<number> {
    const text = checkShared(key, value)
    const words = [key, text, sharedLimits.all, KEPT_SECONDS]
    const places = [this.#key, this.#set(key)] as const
    const stored = Number(await this.#redis.eval(script, 2, ...places, ...words))
    if (stored === -1)
      throw fleetError('ERR_LIMIT', `shared values: at most ${sharedLimits.all} characters`)
    if (stored === -2)
      throw fleetError('ERR_INVALID_OPTION', `'${key}' was stored by set, and has no members`)
    return stored
  }
}
