import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'

import { maxPipelined } from './limits.ts'

interface Connection {
  /** Requests that have no answer yet. */
  waiting: number
  /** Whether a stream has begun, after which nothing is answered. */
  isTaken: boolean
  /** What is to be done when it ends. */
  readonly ends: Set<() => void>
}

/** What is asked over each connection. */
export class Connections {
  readonly #open = new Map<Duplex, Connection & { readonly socket: Socket }>()

  /** How many there are. */
  get count(): number {
    return this.#open.size
  }

  /** Knows one until it ends. */
  add(socket: Socket): void {
    const connection = { socket, waiting: 0, isTaken: false, ends: new Set<() => void>() }
    this.#open.set(socket, connection)
    socket.once('close', () => {
      this.#open.delete(socket)
      for (const end of connection.ends) end()
    })
  }

  /** Counts a request until it is answered; false: there are too many, or a stream comes first. */
  begin(request: IncomingMessage, response: ServerResponse): boolean {
    const connection = this.#open.get(request.socket)
    if (!connection || connection.isTaken || connection.waiting >= maxPipelined) return false
    connection.waiting += 1
    this.whenOver(request, response, () => (connection.waiting -= 1))
    return true
  }

  /** Requests of a connection that have no answer yet. */
  waiting(socket: Duplex): number {
    return this.#open.get(socket)?.waiting ?? 0
  }

  /** Nothing further is asked over a connection. */
  take(socket: Duplex): void {
    const connection = this.#open.get(socket)
    if (connection) connection.isTaken = true
  }

  /**
   * Calls `done` once, when a request is answered or its connection ends. A response that waits for
   * another one of its connection never hears of that end.
   */
  whenOver(request: IncomingMessage, response: ServerResponse, done: () => void): void {
    const ends = this.#open.get(request.socket)?.ends
    if (!ends) {
      done()
      return
    }
    const over = (): void => {
      if (ends.delete(over)) done()
    }
    ends.add(over)
    response.once('close', over)
  }

  /** Ends those that wait for no answer, after what is left to write. */
  endIdle(): void {
    for (const { socket, waiting } of this.#open.values()) if (waiting === 0) socket.destroySoon()
  }

  /** Ends all. */
  destroy(): void {
    for (const socket of this.#open.keys()) socket.destroy()
  }
}
