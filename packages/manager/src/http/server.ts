import { chmodSync } from 'node:fs'
import { type Server, createServer } from 'node:http'
import type { AddressInfo, ListenOptions } from 'node:net'

import { ManagerError } from '../supervisor/errors.ts'
import type { FrontEnd } from '../supervisor/front-end.ts'
import type { Supervisor } from '../supervisor/interface.ts'
import { HttpError, errorReply, sendRaw } from './answer.ts'
import { type Face, localGuard, tokenGuard } from './guard.ts'
import { Handler } from './handler.ts'
import {
  checkingIntervalMs,
  closeMs,
  headersTimeoutMs,
  keepAliveTimeoutMs,
  maxConnections,
  maxHeaderBytes,
  requestTimeoutMs,
} from './limits.ts'

/** What is served. */
export interface HttpOptions {
  /** The machines. */
  readonly supervisor: Supervisor
  /** The manager's. */
  readonly version: string
  /** The folder below which modules are accepted over TCP; the supervisor checks them. */
  readonly modules?: string
  /** A URL that lets one browser in to the screen, if there is one. */
  readonly webUrl?: () => string
}

/**
 * Where: a Unix socket, a socket that was opened for us, or a port of the loopback (0: any), for
 * those who have the token, or for browsers.
 */
export type HttpPlace =
  | { readonly path: string }
  | { readonly fd: number }
  | { readonly port: number; readonly token: string }
  | { readonly port: number; readonly face: Face }

/** Serves the HTTP API; resolves when it listens. */
export async function serveHttp(options: HttpOptions, where: HttpPlace): Promise<FrontEnd> {
  const { supervisor, version, webUrl } = options
  const from = 'port' in where ? 'tcp' : 'local'
  const service = { supervisor, version, from, ...(webUrl && { webUrl }) } as const
  const handler = new Handler(service, faceOf(where))
  const server = makeServer(handler)
  server.on('connection', (socket) => handler.connections.add(socket))
  await listen(server, placeOf(where))
  if ('path' in where) chmodSync(where.path, 0o600)
  return {
    address: addressOf(server, where),
    close: () => close(server, handler),
    counts: () => handler.counts(),
  }
}

function faceOf(where: HttpPlace): Face {
  if ('face' in where) return where.face
  return { guard: 'token' in where ? tokenGuard(where.token) : localGuard, headers: {} }
}

function makeServer(handler: Handler): Server {
  const server = createServer({
    maxHeaderSize: maxHeaderBytes,
    headersTimeout: headersTimeoutMs,
    requestTimeout: requestTimeoutMs,
    keepAliveTimeout: keepAliveTimeoutMs,
    connectionsCheckingInterval: checkingIntervalMs,
    insecureHTTPParser: false,
  })
  server.maxConnections = maxConnections
  server.on('request', (request, response) => void handler.request(request, response))
  server.on('upgrade', (request, socket, head) => void handler.upgrade(request, socket, head))
  server.on('clientError', (error: NodeJS.ErrnoException, socket) => {
    if (handler.connections.waiting(socket) > 0 || error.code === 'ECONNRESET') socket.destroy()
    else sendRaw(socket, errorReply(unreadable(error)))
  })
  return server
}

function unreadable({ code }: NodeJS.ErrnoException): HttpError {
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT')
    return new HttpError(408, 'ERR_TIMEOUT', 'the request did not come in time')
  if (code === 'HPE_HEADER_OVERFLOW')
    return new HttpError(431, 'ERR_LIMIT', `headers have at most ${maxHeaderBytes} bytes`)
  return new HttpError(400, 'ERR_INVALID_OPTION', 'this is no HTTP')
}

function placeOf(where: HttpPlace): ListenOptions | { fd: number } {
  return 'port' in where ? { port: where.port, host: '127.0.0.1' } : where
}

function listen(server: Server, place: ListenOptions | { fd: number }): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (cause: NodeJS.ErrnoException) => {
      const isTaken = cause.code === 'EADDRINUSE' && 'port' in place
      const why = isTaken
        ? `port ${place.port} of 127.0.0.1 is taken; give another one, or 0 for any`
        : cause.message
      reject(new ManagerError('ERR_SOCKET', `cannot listen for HTTP: ${why}`, { cause }))
    })
    server.listen(place, () => resolve())
  })
}

function addressOf(server: Server, where: HttpPlace): string {
  if ('path' in where) return where.path
  const address = server.address() as AddressInfo | string | null
  if (typeof address === 'string') return address
  return 'port' in where ? `http://127.0.0.1:${address?.port}` : `fd ${where.fd}`
}

/** Who waits for an answer may have it, if it comes soon. */
async function close(server: Server, handler: Handler): Promise<void> {
  const closed = new Promise((resolve) => server.close(resolve))
  handler.close()
  const timer = setTimeout(() => handler.connections.destroy(), closeMs)
  await closed
  clearTimeout(timer)
}
