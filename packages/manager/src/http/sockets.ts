import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'

import { type RawData, type WebSocket, WebSocketServer } from 'ws'

import { ManagerError } from '../supervisor/errors.ts'
import {
  heartbeatMs,
  maxMessageBytes,
  maxSilentPings,
  maxWebSockets,
  webSocketBufferBytes,
} from './limits.ts'

/** Codes of RFC 6455, §7.4.1. */
const codes = { done: 1000, goingAway: 1001, failed: 1011 } as const
/** A frame that closes has 125 bytes, two of them for the code. */
const maxReasonLength = 120

/** WebSockets, each tied to a stream of bytes of a machine. */
export class Sockets {
  readonly #server = new WebSocketServer({
    noServer: true,
    clientTracking: false,
    perMessageDeflate: false,
    maxPayload: maxMessageBytes,
  })
  readonly #open = new Map<WebSocket, { silent: number }>()
  /** Those that are being opened count, too. */
  #count = 0
  #beat: NodeJS.Timeout | undefined

  /** How many there are. */
  get count(): number {
    return this.#count
  }

  /** Opens the stream, and then the WebSocket; rejects when the stream cannot be had. */
  async open(
    request: IncomingMessage,
    socket: Duplex,
    head: Buffer,
    openStream: () => Promise<Duplex>,
  ): Promise<void> {
    if (this.#count >= maxWebSockets) {
      const message = `${maxWebSockets} WebSockets are open already; close one of them`
      throw new ManagerError('ERR_LIMIT', message)
    }
    this.#count += 1
    let isCounted = true
    const end = (): void => {
      if (isCounted) this.#count -= 1
      isCounted = false
    }
    socket.once('close', end)
    try {
      const stream = await openStream()
      stream.on('error', () => undefined)
      // Whatever is wrong with the handshake, its answer is written and the socket closed.
      socket.once('close', () => stream.destroy())
      if (socket.destroyed) stream.destroy()
      else this.#server.handleUpgrade(request, socket, head, (it) => this.#tie(it, stream))
    } catch (error) {
      end()
      throw error
    }
  }

  /** Closes them all. */
  close(): void {
    for (const webSocket of this.#open.keys()) webSocket.close(codes.goingAway, 'the daemon ends')
  }

  #tie(webSocket: WebSocket, stream: Duplex): void {
    const state = { silent: 0 }
    this.#open.set(webSocket, state)
    this.#beat ??= setInterval(() => this.#heartbeat(), heartbeatMs)
    webSocket.on('pong', () => (state.silent = 0))
    webSocket.on('error', () => undefined)
    webSocket.once('close', () => {
      stream.destroy()
      this.#remove(webSocket)
    })
    toClient(stream, webSocket)
    fromClient(webSocket, stream)
  }

  #heartbeat(): void {
    for (const [webSocket, state] of this.#open) {
      state.silent += 1
      if (state.silent > maxSilentPings) webSocket.terminate()
      else webSocket.ping()
    }
  }

  #remove(webSocket: WebSocket): void {
    this.#open.delete(webSocket)
    if (this.#open.size > 0) return
    clearInterval(this.#beat)
    this.#beat = undefined
  }
}

/** What the machine says; it waits while the client has not read. */
function toClient(stream: Duplex, webSocket: WebSocket): void {
  stream.on('data', (chunk: Buffer) => {
    webSocket.send(chunk, { binary: true }, () => {
      if (webSocket.bufferedAmount <= webSocketBufferBytes) stream.resume()
    })
    if (webSocket.bufferedAmount > webSocketBufferBytes) stream.pause()
  })
  stream.once('end', () => webSocket.close(codes.done))
  stream.once('error', ({ message }) =>
    webSocket.close(codes.failed, Buffer.from(message).subarray(0, maxReasonLength)),
  )
  stream.once('close', () => webSocket.close(codes.done))
}

/** What the client says; it waits while the machine has not read. */
function fromClient(webSocket: WebSocket, stream: Duplex): void {
  webSocket.on('message', (data: RawData) => {
    if (stream.destroyed || !stream.writable || stream.write(data as Buffer)) return
    webSocket.pause()
    stream.once('drain', () => webSocket.resume())
  })
}
