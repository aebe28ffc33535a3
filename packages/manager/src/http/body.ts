import type { IncomingMessage } from 'node:http'

import { ManagerError } from '../supervisor/errors.ts'
import { HttpError } from './answer.ts'
import { maxBodiesBytes, maxBodyBytes, maxDepth, maxDiscardedBytes } from './limits.ts'

/** Reads bodies, and counts what they hold. */
export class Bodies {
  #bytes = 0

  /** Bytes of bodies that are being read. */
  get bytes(): number {
    return this.#bytes
  }

  /** The JSON of a request; undefined if it has no body. */
  async read(request: IncomingMessage): Promise<unknown> {
    const bytes = await this.#bytesOf(request)
    if (bytes.length === 0) return undefined
    const type = request.headers['content-type']?.split(';')[0]?.trim().toLowerCase()
    if (type !== 'application/json') {
      const message = `the body must be application/json, got ${JSON.stringify(type ?? 'no type')}`
      throw new HttpError(415, 'ERR_INVALID_OPTION', message)
    }
    return parse(bytes)
  }

  async #bytesOf(request: IncomingMessage): Promise<Buffer> {
    let [length, held] = [0, 0]
    const chunks: Buffer[] = []
    const keep = (chunk: Buffer): void => {
      chunks.push(chunk)
      held += chunk.length
      this.#bytes += chunk.length
    }
    const drop = (): void => {
      chunks.length = 0
      this.#bytes -= held
      held = 0
    }
    try {
      return await new Promise<Buffer>((resolve, reject) => {
        request.on('data', (chunk: Buffer) => {
          length += chunk.length
          if (length <= maxBodyBytes) keep(chunk)
          else drop()
          // Who sends too much reads the answer after it, if it comes to its end.
          if (length > maxDiscardedBytes) reject(tooLarge())
          if (this.#bytes > maxBodiesBytes) reject(tooMany())
        })
        request.once('end', () => {
          if (length > maxBodyBytes) reject(tooLarge())
          else resolve(Buffer.concat(chunks))
        })
        request.once('error', reject)
        request.once('close', () => reject(brokenOff()))
      })
    } finally {
      request.removeAllListeners('data')
      drop()
    }
  }
}

const tooLarge = (): HttpError =>
  new HttpError(413, 'ERR_LIMIT', `a body has at most ${maxBodyBytes} bytes`)

const tooMany = (): HttpError =>
  new HttpError(503, 'ERR_LIMIT', 'too many bodies are being read; try again later')

const brokenOff = (): ManagerError =>
  new ManagerError('ERR_INVALID_OPTION', 'the request was broken off')

function parse(bytes: Buffer): unknown {
  let value: unknown
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
  } catch (cause) {
    const message = `the body is no JSON: ${(cause as Error).message}`
    throw new ManagerError('ERR_INVALID_OPTION', message, { cause })
  }
  checkShape(value)
  return value
}

/** Whoever walks through the value later may call itself, and may copy its keys. */
function checkShape(value: unknown): void {
  let level: unknown[] = [value]
  for (let depth = 0; level.length > 0; depth++) {
    if (depth > maxDepth) {
      const message = `the body has more than ${maxDepth} arrays and objects in each other`
      throw new ManagerError('ERR_INVALID_OPTION', message)
    }
    level = level.flatMap((each) => {
      if (typeof each !== 'object' || each === null) return []
      if (Object.hasOwn(each, '__proto__'))
        throw new ManagerError('ERR_INVALID_OPTION', 'the body has a key __proto__')
      return Object.values(each)
    })
  }
}
