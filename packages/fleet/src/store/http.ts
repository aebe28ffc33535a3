import { openAsBlob } from 'node:fs'

import { fleetError } from '../job/error.ts'
import { type Store, absent, checkHash, hashOf, hashOfFile, unreachable } from './store.ts'

/** For the first byte of an answer. */
const answerMs = 30_000

/**
 * A web server as a store: `GET URL/HASH`, with range requests where a transfer breaks off, and
 * `PUT URL/HASH` for a server that takes it. Names and passwords in the URL are sent.
 *
 * @example
 * ```ts
 * import { httpStore } from '@vmexit/fleet'
 *
 * const store = httpStore('https://images.example/store/')
 * ```
 *
 * @category Fleet
 */
export function httpStore(url: string | URL): Store {
  return new HttpStore(new URL(url))
}

class HttpStore implements Store {
  readonly #base: URL
  readonly #headers: Record<string, string>
  /** What messages say: without a password. */
  readonly #name: string

  constructor(url: URL) {
    if (url.protocol !== 'http:' && url.protocol !== 'https:')
      throw fleetError('ERR_INVALID_OPTION', 'a store by HTTP must be an http: or https: URL')
    const { username, password } = url
    const given = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`
    const basic = `Basic ${Buffer.from(given).toString('base64')}`
    this.#headers = username === '' && password === '' ? {} : { authorization: basic }
    this.#base = new URL(url)
    this.#base.username = ''
    this.#base.password = ''
    if (!this.#base.pathname.endsWith('/')) this.#base.pathname += '/'
    this.#name = this.#base.href
  }

  async put(content: Uint8Array): Promise<string> {
    return await this.#put(hashOf(content), Buffer.from(content))
  }

  async putFile(path: string): Promise<string> {
    return await this.#put(await hashOfFile(path), await openAsBlob(path))
  }

  async open(hash: string, from: number, signal?: AbortSignal): Promise<AsyncIterable<Uint8Array>> {
    const headers = from === 0 ? this.#headers : { ...this.#headers, range: `bytes=${from}-` }
    const response = await this.#ask(hash, { headers, ...(signal && { signal }) })
    const { status, body } = response
    if (status === 404 || status === 410) throw absent(hash, this.#name)
    // Content that ends where the range begins.
    if (status === 416 && from > 0) return none()
    if (!response.ok || !body) throw unreachable(this.#name, new Error(`it answers ${status}`))
    const bytes = body as unknown as AsyncIterable<Uint8Array>
    // A server without ranges begins anew.
    return from > 0 && status !== 206 ? skip(bytes, from) : bytes
  }

  close(): Promise<void> {
    return Promise.resolve()
  }

  async #put(hash: string, body: Buffer | Blob): Promise<string> {
    const { headers: own } = { headers: this.#headers }
    const has = await this.#ask(hash, { method: 'HEAD', headers: own })
    if (has.ok) return hash
    const headers = { ...own, 'content-type': 'application/octet-stream' }
    const { ok, status } = await this.#ask(hash, { method: 'PUT', headers, body })
    if (ok) return hash
    throw unreachable(this.#name, new Error(`it answers ${status} to PUT`))
  }

  async #ask(hash: string, init: RequestInit): Promise<Response> {
    const late = new AbortController()
    const timer = setTimeout(() => late.abort(new Error('no answer')), answerMs)
    const signal = init.signal ? AbortSignal.any([init.signal, late.signal]) : late.signal
    try {
      return await fetch(new URL(checkHash(hash), this.#base), { ...init, signal })
    } catch (error) {
      if (init.signal?.aborted) throw error
      const { cause = error } = error as Error
      throw unreachable(this.#name, cause)
    } finally {
      clearTimeout(timer)
    }
  }
}

async function* none(): AsyncGenerator<Uint8Array> {
  // Nothing is left.
}

async function* skip(bytes: AsyncIterable<Uint8Array>, count: number): AsyncGenerator<Uint8Array> {
  let left = count
  for await (const chunk of bytes) {
    const taken = Math.min(left, chunk.length)
    left -= taken
    if (taken < chunk.length) yield chunk.subarray(taken)
  }
}
