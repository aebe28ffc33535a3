import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'

import { ManagerError, type ManagerErrorCode } from '../supervisor/errors.ts'
import type { Connections } from './connections.ts'
import { lingerMs, maxAnswersBytes, maxDiscardedBytes } from './limits.ts'

/** What the API answers to each kind of error. */
const statuses: Readonly<Record<ManagerErrorCode, number>> = {
  ERR_INVALID_OPTION: 400,
  ERR_FORBIDDEN: 403,
  ERR_NOT_FOUND: 404,
  ERR_EXISTS: 409,
  ERR_STATE: 409,
  ERR_SNAPSHOT: 409,
  ERR_EVENTS_GONE: 410,
  ERR_LIMIT: 429,
  ERR_STORE: 500,
  ERR_SOCKET: 500,
  ERR_DAEMON: 500,
  ERR_MACHINE: 500,
  ERR_INTERNAL: 500,
  ERR_NOT_SUPPORTED: 501,
  ERR_TIMEOUT: 504,
}

/** An error that HTTP has a status of its own for. */
export class HttpError extends ManagerError {
  /** The status. */
  readonly status: number
  /** What it says beside the body. */
  readonly headers: Readonly<Record<string, string>>

  /** Makes one. */
  constructor(
    status: number,
    code: ManagerErrorCode,
    message: string,
    headers: Readonly<Record<string, string>> = {},
  ) {
    super(code, message)
    this.status = status
    this.headers = headers
  }
}

/** Bytes with what HTTP says of them. */
export interface Reply {
  readonly status: number
  readonly headers: Readonly<Record<string, string | number>>
  readonly body: Uint8Array
}

const always = { 'cache-control': 'no-store', 'x-content-type-options': 'nosniff' }

/** A reply of bytes. */
export function replyOf(status: number, type: string, body: Uint8Array): Reply {
  const headers = { ...always, 'content-type': type, 'content-length': body.byteLength }
  return { status, headers, body }
}

/** A reply of JSON. */
export function jsonReply(status: number, value: unknown): Reply {
  return replyOf(status, 'application/json', Buffer.from(`${JSON.stringify(value)}\n`))
}

/** A reply without a body. */
export const emptyReply: Reply = { status: 204, headers: always, body: new Uint8Array() }

/** The reply to what was thrown. */
export function errorReply(error: unknown): Reply {
  const { code, message } = described(error)
  const status = error instanceof HttpError ? error.status : statuses[code]
  const { headers, ...rest } = jsonReply(status, { error: { code, message } })
  return { ...rest, headers: { ...headers, ...(error instanceof HttpError && error.headers) } }
}

function described(error: unknown): { code: ManagerErrorCode; message: string } {
  const { code, message = String(error) } = error as Partial<ManagerError>
  const isKnown = typeof code === 'string' && Object.hasOwn(statuses, code)
  // What a machine's process says has codes of vmexit, such as that of a file that is not there.
  const other = error instanceof ManagerError ? 'ERR_MACHINE' : 'ERR_INTERNAL'
  return { code: isKnown ? code : other, message: String(message) }
}

/** Bytes of answers that clients have not read. */
export class Answers {
  readonly #connections: Connections
  #bytes = 0

  /** Of these connections. */
  constructor(connections: Connections) {
    this.#connections = connections
  }

  /** How many they are. */
  get bytes(): number {
    return this.#bytes
  }

  /** Sends a reply, or says that there are too many. What is left of the request is thrown away. */
  send(request: IncomingMessage, response: ServerResponse, reply: Reply): void {
    if (response.destroyed || response.headersSent) return
    const { byteLength } = reply.body
    const isOver = this.#bytes + byteLength > maxAnswersBytes
    const message = 'too many answers wait for their readers; try again later'
    const { status, headers, body } = isOver
      ? errorReply(new HttpError(503, 'ERR_LIMIT', message))
      : reply
    this.#bytes += body.byteLength
    this.#connections.whenOver(request, response, () => (this.#bytes -= body.byteLength))
    response.writeHead(status, headers)
    response.end(request.method === 'HEAD' ? undefined : body)
    discard(request)
  }
}

/** Reads what a client goes on to send, so that it comes to read the answer, up to a limit. */
export function discard(request: IncomingMessage): void {
  if (request.complete) return
  let left = maxDiscardedBytes
  request.on('data', (chunk: Buffer) => {
    left -= chunk.length
    if (left < 0) request.destroy()
  })
}

/** Sends a reply where there is no response to send it by, and closes the connection. */
export function sendRaw(socket: Duplex, { status, headers, body }: Reply): void {
  if (socket.destroyed || !socket.writable) {
    socket.destroy()
    return
  }
  const lines = Object.entries({ ...headers, connection: 'close' }).map(
    ([name, value]) => `${name}: ${value}\r\n`,
  )
  socket.write(`HTTP/1.1 ${status} ${reasons[status] ?? 'Error'}\r\n${lines.join('')}\r\n`)
  socket.end(body)
  socket.resume()
  const timer = setTimeout(() => socket.destroy(), lingerMs)
  socket.once('close', () => clearTimeout(timer))
}

const reasons: Readonly<Record<number, string>> = {
  400: 'Bad Request',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'Not Found',
  405: 'Method Not Allowed',
  408: 'Request Timeout',
  409: 'Conflict',
  413: 'Content Too Large',
  429: 'Too Many Requests',
  431: 'Request Header Fields Too Large',
}
