import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'

import { fleetError } from '../job/error.ts'

/**
 * Content by its hash. A store can be a folder, an HTTP server or Redis; those who read
 * from it verify what comes.
 *
 * @category Fleet
 */
export interface Store {
  /** Stores bytes, and returns their hash: `sha256-` and 64 hexadecimal digits. */
  put(content: Uint8Array): Promise<string>
  /** Stores the content of a file, and returns its hash. */
  putFile(path: string): Promise<string>
  /**
   * The bytes from `from` on. Rejects with `ERR_PAYLOAD` if there is no such content, and with
   * `ERR_TIMEOUT` if the store cannot be reached.
   */
  open(hash: string, from: number, signal?: AbortSignal): Promise<AsyncIterable<Uint8Array>>
  /** Ends its connections. */
  close(): Promise<void>
}

/** The hash of bytes. */
export function hashOf(content: Uint8Array): string {
  return `sha256-${createHash('sha256').update(content).digest('hex')}`
}

/** The hash of a file's content. */
export async function hashOfFile(path: string): Promise<string> {
  const hash = createHash('sha256')
  for await (const chunk of createReadStream(path)) hash.update(chunk as Buffer)
  return `sha256-${hash.digest('hex')}`
}

/** Checks a hash, which becomes a part of paths and addresses. */
export function checkHash(hash: unknown): string {
  if (typeof hash === 'string' && /^sha256-[\da-f]{64}$/.test(hash)) return hash
  throw fleetError('ERR_INVALID_OPTION', "a hash must be 'sha256-' and 64 hexadecimal digits")
}

/** There is no such content. */
export function absent(hash: string, where: string): Error {
  return fleetError('ERR_PAYLOAD', `${where} has no ${hash}`)
}

/** The store did not answer. */
export function unreachable(where: string, cause: unknown): Error {
  const { message = String(cause) } = (cause ?? {}) as Error
  return fleetError('ERR_TIMEOUT', `${where} cannot be reached: ${message}`, cause)
}
