import { createHash, randomBytes } from 'node:crypto'
import { mkdir, open, readdir, rename, rm, stat, utimes } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join } from 'node:path'

import { fleetError } from '../job/error.ts'
import { type Store, checkHash, hashOfFile } from './store.ts'

/** How a cache is made. */
export interface CacheOptions {
  /** Where content comes from; without it there is only what is in the cache. */
  readonly store?: Store | undefined
  /** Its folder, which several processes may share. */
  readonly folder?: string | undefined
  /** Bytes that it keeps, default 8 GiB; content that is larger is refused. */
  readonly maxBytes?: number | undefined
}

const defaultBytes = 8 * 2 ** 30
/** How often a transfer that broke off goes on. */
const tries = 4
/** How long a store may send nothing. */
const silentMs = 60_000
/** What is aside for longer was left by a process that died. */
const staleMs = 3_600_000

/** Where a user's caches are. */
function cacheFolder(): string {
  const home = process.env['XDG_CACHE_HOME']
  return join(home ? home : join(homedir(), '.cache'), 'vmexit', 'fleet')
}

/** Content of a store on this host's disk: fetched once, verified, the least recent removed. */
export class Cache {
  readonly store: Store | undefined
  readonly #folder: string
  readonly #maxBytes: number
  /** What is being looked for, so that it is fetched once. */
  readonly #pending = new Map<string, Promise<string>>()
  /** What this process has verified, by what tells that a file is the same. */
  readonly #verified = new Map<string, string>()
  /** What jobs use, and how many of them. */
  readonly #pins = new Map<string, number>()

  constructor({ store, folder = cacheFolder(), maxBytes = defaultBytes }: CacheOptions = {}) {
    this.store = store
    this.#folder = folder
    this.#maxBytes = maxBytes
  }

  /**
   * Calls `use` with the paths of content by hash, which stay until it is done. Rejects with
   * `ERR_PAYLOAD` for content that is not there, or is not what its hash says; `ERR_LIMIT` for what
   * is too large; `ERR_TIMEOUT` for a store that cannot be reached.
   */
  async using<T>(
    hashes: readonly string[],
    use: (paths: Readonly<Record<string, string>>) => Promise<T>,
    signal?: AbortSignal,
  ): Promise<T> {
    for (const hash of hashes) this.#pins.set(hash, (this.#pins.get(hash) ?? 0) + 1)
    try {
      const paths: Record<string, string> = {}
      for (const hash of hashes) paths[hash] = await this.path(hash, signal)
      return await use(paths)
    } finally {
      for (const hash of hashes) this.#unpin(hash)
    }
  }

  /** The path of content, fetched if it is not here. */
  async path(hash: string, signal?: AbortSignal): Promise<string> {
    signal?.throwIfAborted()
    let pending = this.#pending.get(checkHash(hash))
    if (!pending) {
      // It goes on for others that wait for it, or will ask.
      pending = this.#find(hash).finally(() => this.#pending.delete(hash))
      pending.catch(() => undefined)
      this.#pending.set(hash, pending)
    }
    return await unlessAborted(pending, signal)
  }

  #unpin(hash: string): void {
    const count = (this.#pins.get(hash) ?? 1) - 1
    if (count > 0) this.#pins.set(hash, count)
    else this.#pins.delete(hash)
  }

  async #find(hash: string): Promise<string> {
    const path = join(this.#folder, hash)
    if (await this.#isSound(hash, path)) {
      const { mtime } = await stat(path)
      await utimes(path, new Date(), mtime).catch(() => undefined)
      return path
    }
    if (!this.store) throw fleetError('ERR_PAYLOAD', `there is no store that has ${hash}`)
    await mkdir(this.#folder, { recursive: true, mode: 0o700 })
    await this.#fetch(this.store, hash, path)
    this.#verified.set(hash, await markOf(path))
    await this.#trim()
    return path
  }

  /** Whether it is here, and is what its hash says: a crash may have cut it. */
  async #isSound(hash: string, path: string): Promise<boolean> {
    const mark = await markOf(path).catch(() => undefined)
    if (mark === undefined) return false
    if (this.#verified.get(hash) === mark) return true
    const isSound = (await hashOfFile(path).catch(() => undefined)) === hash
    if (isSound) this.#verified.set(hash, mark)
    else await rm(path, { force: true })
    return isSound
  }

  async #fetch(store: Store, hash: string, path: string): Promise<void> {
    const aside = join(this.#folder, `.${randomBytes(8).toString('hex')}.part`)
    try {
      const found = await this.#transfer(store, hash, aside)
      if (found !== hash)
        throw fleetError('ERR_PAYLOAD', `what the store has as ${hash} is ${found}`)
      await rename(aside, path)
    } finally {
      await rm(aside, { force: true })
    }
  }

  /** Writes what the store has, and returns the hash of it. */
  async #transfer(store: Store, hash: string, aside: string): Promise<string> {
    const sum = createHash('sha256')
    let bytes = 0
    await using file = await open(aside, 'wx', 0o600)
    for (let left = tries; ;) {
      const before = bytes
      try {
        for await (const chunk of chunksOf(store, hash, bytes)) {
          bytes += chunk.length
          if (bytes > this.#maxBytes)
            throw fleetError('ERR_LIMIT', `${hash}: the cache keeps ${this.#maxBytes} bytes`)
          sum.update(chunk)
          await file.writeFile(chunk)
        }
        return `sha256-${sum.digest('hex')}`
      } catch (error) {
        // It goes on where it broke off, as long as something comes.
        left = bytes > before ? tries : left - 1
        const { code } = error as { code?: string }
        if (code === 'ERR_PAYLOAD' || code === 'ERR_LIMIT') throw error
        if (left <= 0) throw code === 'ERR_TIMEOUT' ? error : late(hash, error)
      }
    }
  }

  /** Removes what was used least recently, until the rest fits; what jobs use stays. */
  async #trim(): Promise<void> {
    const names = await readdir(this.#folder)
    const found = await Promise.all(
      names.map(async (name) => {
        const path = join(this.#folder, name)
        const { size = 0, atimeMs = 0 } = (await stat(path).catch(() => undefined)) ?? {}
        return { name, path, size, atimeMs }
      }),
    )
    const stale = Date.now() - staleMs
    for (const { name, path, atimeMs } of found)
      if (name.endsWith('.part') && atimeMs < stale) await rm(path, { force: true })
    const content = found
      .filter(({ name }) => name.startsWith('sha256-'))
      .toSorted((one, other) => one.atimeMs - other.atimeMs)
    let total = content.reduce((sum, { size }) => sum + size, 0)
    for (const { name, path, size } of content) {
      if (total <= this.#maxBytes) break
      if (this.#pins.has(name) || this.#pending.has(name)) continue
      await rm(path, { force: true })
      this.#verified.delete(name)
      total -= size
    }
  }
}

/** What changes when a file does. */
async function markOf(path: string): Promise<string> {
  const { dev, ino, size, mtimeMs } = await stat(path)
  return `${dev} ${ino} ${size} ${mtimeMs}`
}

const late = (hash: string, cause: unknown): Error =>
  fleetError('ERR_TIMEOUT', `${hash} did not come: ${String(cause)}`, cause)

/** What a store has, from a byte on; a store that falls silent is left. */
async function* chunksOf(store: Store, hash: string, from: number): AsyncGenerator<Uint8Array> {
  const silent = new AbortController()
  const timer = setTimeout(() => silent.abort(late(hash, 'the store is silent')), silentMs)
  try {
    for await (const chunk of await store.open(hash, from, silent.signal)) {
      yield chunk
      timer.refresh()
    }
  } finally {
    clearTimeout(timer)
  }
}

/** What a promise gives, unless the signal is aborted before. */
async function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (!signal) return await promise
  let leave = (): void => undefined
  const aborted = new Promise<never>((_, reject) => {
    leave = () => reject(signal.reason as Error)
  })
  signal.addEventListener('abort', leave, { once: true })
  try {
    return await Promise.race([promise, aborted])
  } finally {
    signal.removeEventListener('abort', leave)
  }
}
