import { type ClientRequest, type IncomingMessage, request as ask } from 'node:http'
import { connect as openSocket } from 'node:net'
import type { Duplex } from 'node:stream'

import { WebSocket, createWebSocketStream } from 'ws'

import { ManagerError, type ManagerErrorCode } from '../supervisor/errors.ts'

/**
 * Where a daemon is: its Unix socket, or its port on the loopback and the token for it.
 *
 * @category Manager
 */
export type ConnectOptions =
  | {
      /** The path of its `api.sock`. */
      readonly socket: string
    }
  | {
      /** Such as `http://127.0.0.1:8080`. */
      readonly url: string
      /** What the daemon was given. */
      readonly token: string
    }

/** Bytes of one answer. */
const maxAnswerBytes = 64 * 1024 * 1024
/** Bytes of one message of a WebSocket. */
const maxMessageBytes = 1024 * 1024

/** What is asked. */
export interface Question {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE'
  readonly path: string
  readonly body?: unknown
  readonly headers?: Readonly<Record<string, string>>
}

/** Asks a daemon. Each question has a connection of its own. */
export class Transport {
  readonly #where: ConnectOptions
  readonly #base: URL
  readonly #open = new Set<ClientRequest | Duplex>()

  /** Nothing is opened yet. */
  constructor(where: ConnectOptions) {
    this.#where = where
    this.#base = baseOf(where)
  }

  /** Opens an answer, whose body is read by the caller; rejects with the daemon's error. */
  async answer({ method, path, body, headers = {} }: Question): Promise<IncomingMessage> {
    const text = body === undefined ? undefined : JSON.stringify(body)
    const sent = {
      ...this.#headers(),
      ...headers,
      ...(text !== undefined && {
        'content-type': 'application/json',
        'content-length': String(Buffer.byteLength(text)),
      }),
    }
    const address = 'socket' in this.#where ? { socketPath: this.#where.socket } : {}
    const request = ask(new URL(path, this.#base), {
      ...address,
      method,
      headers: sent,
      agent: false,
    })
    this.#keep(request)
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      request.once('response', resolve)
      request.on('error', (error) => reject(this.#broken(error)))
      request.end(text)
    })
    if (response.statusCode! < 300) return response
    throw errorIn(response, await this.bytes(response))
  }

  /** The whole body of an answer. */
  async bytes(response: IncomingMessage): Promise<Buffer> {
    const chunks: Buffer[] = []
    let length = 0
    try {
      for await (const chunk of response as AsyncIterable<Buffer>) {
        length += chunk.length
        if (length > maxAnswerBytes)
          throw new ManagerError('ERR_LIMIT', `the answer has more than ${maxAnswerBytes} bytes`)
        chunks.push(chunk)
      }
    } catch (error) {
      throw error instanceof ManagerError ? error : this.#broken(error as Error)
    }
    return Buffer.concat(chunks)
  }

  /** Opens a WebSocket as a stream of bytes. */
  async stream(path: string): Promise<Duplex> {
    const url = new URL(path, this.#base)
    url.protocol = 'ws:'
    const where = this.#where
    const webSocket = new WebSocket(url, {
      headers: this.#headers(),
      perMessageDeflate: false,
      maxPayload: maxMessageBytes,
      ...('socket' in where && { createConnection: () => openSocket(where.socket) }),
    })
    webSocket.once('close', (code, reason) => {
      const why = reason.toString()
      if (code === failed) stream.destroy(new ManagerError('ERR_MACHINE', why || 'it broke off'))
    })
    // Before it is open: what comes with the handshake's answer would be lost.
    const stream = createWebSocketStream(webSocket)
    this.#keep(stream)
    await new Promise<void>((resolve, reject) => {
      webSocket.once('open', () => {
        stream.off('error', refuse)
        resolve()
      })
      const refuse = (error: Error): void => reject(this.#broken(error))
      stream.on('error', refuse)
      webSocket.once('unexpected-response', (_, response) => {
        const refused = this.bytes(response).then((body) => errorIn(response, body))
        void refused.then(reject, reject).finally(() => stream.destroy())
      })
    })
    return stream
  }

  /** Ends all that is open. */
  close(): void {
    for (const each of this.#open) each.destroy()
  }

  #keep(each: ClientRequest | Duplex): void {
    this.#open.add(each)
    each.once('close', () => this.#open.delete(each))
  }

  #headers(): Record<string, string> {
    return 'token' in this.#where ? { authorization: `Bearer ${this.#where.token}` } : {}
  }

  #broken(cause: NodeJS.ErrnoException): ManagerError {
    const place = 'socket' in this.#where ? this.#where.socket : this.#where.url
    const { code, message } = cause
    if (code === 'ENOENT' || code === 'ECONNREFUSED') {
      const remedy = `no daemon listens at ${place}: start one with \`vmexit daemon\``
      return new ManagerError('ERR_DAEMON', remedy, { cause })
    }
    if (code === 'EACCES')
      return new ManagerError('ERR_FORBIDDEN', `${place} belongs to another user`, { cause })
    return new ManagerError('ERR_DAEMON', `the daemon at ${place} broke off: ${message}`, { cause })
  }
}

/** Something on the other side failed: RFC 6455, §7.4.1. */
const failed = 1011

function baseOf(where: ConnectOptions): URL {
  if ('socket' in where) return new URL('http://localhost')
  const url = URL.canParse(where.url) ? new URL(where.url) : undefined
  if (url?.protocol === 'http:' && url.pathname === '/') return url
  throw new ManagerError('ERR_INVALID_OPTION', 'url must be like http://127.0.0.1:8080')
}

function errorIn({ statusCode }: IncomingMessage, body: Buffer): ManagerError {
  try {
    const { code, message } = JSON.parse(body.toString()).error
    if (typeof code === 'string' && typeof message === 'string')
      return new ManagerError(code as ManagerErrorCode, message)
  } catch {
    // Something else than a daemon has answered.
  }
  return new ManagerError('ERR_DAEMON', `this is no daemon of vmexit: it answered ${statusCode}`)
}
