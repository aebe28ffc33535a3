import { folderStore } from './folder.ts'
import { httpStore } from './http.ts'
import { redisStore } from './redis.ts'
import type { Store } from './store.ts'

export { folderStore } from './folder.ts'
export { httpStore } from './http.ts'
export { redisStore } from './redis.ts'
export type { Store } from './store.ts'

/** A store by a word: an `http:`, `https:`, `redis:` or `rediss:` URL, or a folder's path. */
export function storeOf(store: Store | string): Store {
  if (typeof store !== 'string') return store
  if (/^https?:\/\//.test(store)) return httpStore(store)
  if (/^rediss?:\/\//.test(store)) return redisStore(store)
  return folderStore(store)
}
