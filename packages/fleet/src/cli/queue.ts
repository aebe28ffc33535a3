import { Queue } from 'bullmq'
import type { Redis } from 'ioredis'

import { connect } from '../engines/queue/connect.ts'
import { defaultQueue, isName } from '../engines/queue/names.ts'
import { type Values, textOf, usage } from './verb.ts'

/** A queue that a command looks at. */
export interface Opened {
  readonly name: string
  readonly redis: Redis
  readonly queue: Queue
}

/** Where Redis is: `--redis`, or VMEXIT_REDIS, which no list of processes shows. */
export function redisOf(values: Values): string {
  const url = textOf(values, 'redis') ?? process.env['VMEXIT_REDIS']
  return url ?? usage('it needs --redis URL, or VMEXIT_REDIS')
}

/** Opens the queue of `--redis` and `--queue`, and closes it after `use`. */
export async function withQueue<T>(
  values: Values,
  use: (opened: Opened) => Promise<T>,
): Promise<T> {
  const url = redisOf(values)
  const name = textOf(values, 'queue') ?? defaultQueue
  if (!isName(name)) usage('--queue must be 1 to 64 of A-Z a-z 0-9 . _ -')
  const redis = await connect(url, '--redis')
  const queue = new Queue(name, { connection: redis })
  queue.on('error', () => {})
  try {
    return await use({ name, redis, queue })
  } finally {
    await queue.close().catch(() => {})
    redis.disconnect()
  }
}
