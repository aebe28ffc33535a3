import { fleetError } from './error.ts'
import type { JsonValue } from './job.ts'

/**
 * Small values that the jobs of one `map` share, such as a corpus.
 *
 * @category Fleet
 */
export interface Shared {
  /** What `set` has stored, or all members that `add` has; `undefined` for an unknown key. */
  get(key: string): Promise<JsonValue | undefined>
  /** Stores a value, in the place of one that is there. */
  set(key: string, value: JsonValue): Promise<void>
  /** Adds a member to a set, and says whether it is new. */
  add(key: string, value: JsonValue): Promise<boolean>
}

/** Characters of a key, of one value as JSON, and of all values together. */
export const sharedLimits = { key: 200, value: 1 << 20, all: 64 << 20 } as const

/** Checks a call of `Shared`, and returns its value as JSON. */
export function checkShared(key: unknown, value?: unknown): string {
  if (typeof key !== 'string' || key === '' || key.length > sharedLimits.key)
    throw fleetError('ERR_INVALID_OPTION', `a key must have 1 to ${sharedLimits.key} characters`)
  const text = value === undefined ? 'null' : (JSON.stringify(value) ?? 'null')
  if (text.length > sharedLimits.value)
    throw fleetError('ERR_LIMIT', `'${key}': at most ${sharedLimits.value} characters of JSON`)
  return text
}

/** Those of one process. */
export class LocalShared implements Shared {
  readonly #values = new Map<string, string | Set<string>>()
  #size = 0

  get(key: string): Promise<JsonValue | undefined> {
    const found = this.#values.get(key)
    if (found === undefined) return Promise.resolve(undefined)
    const text = typeof found === 'string' ? found : `[${[...found].join(',')}]`
    return Promise.resolve(JSON.parse(text) as JsonValue)
  }

  async set(key: string, value: JsonValue): Promise<void> {
    const text = checkShared(key, value)
    const found = this.#values.get(key)
    const before = typeof found === 'string' ? [found] : [...(found ?? [])]
    this.#take(text.length - before.reduce((sum, each) => sum + each.length, 0))
    this.#values.set(key, text)
  }

  async add(key: string, value: JsonValue): Promise<boolean> {
    const text = checkShared(key, value)
    const found = this.#values.get(key) ?? new Set()
    if (typeof found === 'string')
      throw fleetError('ERR_INVALID_OPTION', `'${key}' was stored by set, and has no members`)
    if (found.has(text)) return false
    this.#take(text.length)
    this.#values.set(key, found.add(text))
    return true
  }

  #take(characters: number): void {
    if (this.#size + characters > sharedLimits.all)
      throw fleetError('ERR_LIMIT', `shared values: at most ${sharedLimits.all} characters`)
    this.#size += characters
  }
}
