import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'

import { ManagerError } from '../supervisor/errors.ts'
import {
  Answers,
  HttpError,
  type Reply,
  discard,
  emptyReply,
  errorReply,
  jsonReply,
  replyOf,
  sendRaw,
} from './answer.ts'
import { Bodies } from './body.ts'
import { Connections } from './connections.ts'
import { EventStreams } from './events.ts'
import type { Face } from './guard.ts'
import type { PlainOperation, Service } from './operation.ts'
import { type Route, routeOf } from './router.ts'
import { problem } from './schema.ts'
import { Sockets } from './sockets.ts'
import { StatsStreams } from './stats.ts'

/** Answers requests. */
export class Handler {
  readonly #service: Service
  readonly #face: Face
  readonly #bodies = new Bodies()
  readonly #answers: Answers
  readonly #events: EventStreams
  readonly #stats: StatsStreams
  readonly #sockets = new Sockets()
  /** What is asked over which connection. */
  readonly connections = new Connections()
  #requests = 0
  #failures = 0

  /** With a guard before it. */
  constructor(service: Service, face: Face) {
    this.#service = service
    this.#face = face
    this.#answers = new Answers(this.connections)
    this.#events = new EventStreams(service.supervisor, this.connections)
    this.#stats = new StatsStreams(service.supervisor, this.connections)
  }

  /** What it holds and has done. */
  counts(): Record<string, number> {
    return {
      httpConnections: this.connections.count,
      httpRequests: this.#requests,
      httpFailures: this.#failures,
      httpEventStreams: this.#events.count,
      httpEventStreamsDropped: this.#events.dropped,
      httpStatsStreams: this.#stats.count,
      httpWebSockets: this.#sockets.count,
      httpBodyBytes: this.#bodies.bytes,
      httpAnswerBytes: this.#answers.bytes,
    }
  }

  /** Ends the streams, and connections that wait for no answer. */
  close(): void {
    this.#events.close()
    this.#stats.close()
    this.#sockets.close()
    this.connections.endIdle()
  }

  /** Answers a request; nothing is thrown. */
  async request(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (!this.connections.begin(request, response)) {
      request.socket.destroy()
      return
    }
    this.#requests += 1
    response.on('error', () => undefined)
    const { guard, headers } = this.#face
    for (const [name, value] of Object.entries(headers)) response.setHeader(name, value)
    try {
      const own = guard(request)
      if (own) return this.#answers.send(request, response, own)
      const route = routeOf(request)
      if (route.operation.kind === 'events') this.#stream(request, response, route)
      else this.#answers.send(request, response, await this.#plain(request, route))
    } catch (error) {
      this.#failures += 1
      this.#answers.send(request, response, errorReply(error))
    }
  }

  /** Answers a request for another protocol, which is a WebSocket's or none. */
  async upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
    this.#requests += 1
    socket.on('error', () => undefined)
    if (this.connections.waiting(socket) > 0) {
      socket.destroy()
      return
    }
    try {
      const own = this.#face.guard(request)
      const { operation, name } = routeOf(request)
      if (own || operation.kind !== 'socket')
        throw new ManagerError('ERR_INVALID_OPTION', 'this path does not upgrade')
      checkHandshake(request)
      const { supervisor } = this.#service
      const open = () => operation.open({ supervisor, name })
      await this.#sockets.open(request, socket, head, open)
    } catch (error) {
      this.#failures += 1
      const { headers, ...rest } = errorReply(error)
      sendRaw(socket, { ...rest, headers: { ...this.#face.headers, ...headers } })
    }
  }

  async #plain(request: IncomingMessage, route: Route): Promise<Reply> {
    const { operation, ...words } = route
    if (operation.kind !== 'plain') {
      const headers = { upgrade: 'websocket', connection: 'upgrade' }
      throw new HttpError(426, 'ERR_NOT_SUPPORTED', 'this path is a WebSocket', headers)
    }
    const isRead = operation.method === 'GET'
    const body = isRead ? {} : checked(operation, await this.#bodies.read(request))
    const result = await operation.handle({ ...this.#service, ...words, body })
    const { answer } = operation
    if (answer === undefined) return emptyReply
    return typeof answer === 'string'
      ? replyOf(200, answer, result as Uint8Array)
      : jsonReply(200, result)
  }

  #stream(request: IncomingMessage, response: ServerResponse, { operation, query }: Route): void {
    if (this.connections.waiting(request.socket) > 1)
      throw new ManagerError('ERR_INVALID_OPTION', 'a stream of events needs its own connection')
    const of = operation.kind === 'events' ? operation.of : 'events'
    if (of !== 'events') this.#stats.check()
    if (of !== 'stats') {
      const last = request.headers['last-event-id']
      const since = last === undefined ? query['since'] : numberIn(String(last))
      this.#events.open(request, response, since)
    }
    if (of !== 'events') this.#stats.open(request, response, query['interval'])
    // What is asked after it would never be answered.
    this.connections.take(request.socket)
    // A connection that is not read does not say that it has ended.
    discard(request)
  }
}

function checked({ body, bodyIsOptional = false }: PlainOperation, given: unknown): unknown {
  if (!body && given === undefined) return {}
  const value = given === undefined && bodyIsOptional ? {} : given
  const schema = body ?? { type: 'object', additionalProperties: false }
  const found = value === undefined ? 'the body is missing' : problem(schema, value, 'the body')
  if (found === undefined) return value
  throw new ManagerError('ERR_INVALID_OPTION', found)
}

function numberIn(text: string): number {
  if (/^\d{1,15}$/.test(text)) return Number(text)
  throw new ManagerError('ERR_INVALID_OPTION', 'Last-Event-ID must be the number of an event')
}

/** What a WebSocket's handshake must have: nothing is opened for less. */
function checkHandshake({ headers, method }: IncomingMessage): void {
  const isOne =
    method === 'GET' &&
    headers.upgrade?.toLowerCase() === 'websocket' &&
    headers['sec-websocket-version'] === '13' &&
    /^[+/0-9A-Za-z]{22}==$/.test(headers['sec-websocket-key'] ?? '')
  if (!isOne) throw new ManagerError('ERR_INVALID_OPTION', 'this is no handshake of a WebSocket')
}
