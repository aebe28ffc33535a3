// The daemon's end of a machine's control socket: requests with answers, and events.
import { connect, type Socket } from 'node:net'

import { type Params, Peer, type WireEvent } from '../../wire/index.ts'
import { ManagerError } from '../errors.ts'

/** A connection. */
export class Control {
  /** Resolves when it is closed, by whichever side. */
  readonly closed: Promise<void>
  readonly #socket: Socket
  readonly #peer: Peer

  private constructor(socket: Socket, onEvent: (event: WireEvent) => void) {
    this.#socket = socket
    this.#peer = new Peer(socket, { onEvent })
    this.closed = this.#peer.closed
  }

  /** Connects; `ERR_MACHINE` if nobody is there. */
  static open(path: string, onEvent: (event: WireEvent) => void): Promise<Control> {
    return new Promise((resolve, reject) => {
      const socket = connect(path)
      socket.once('error', (cause) => {
        reject(new ManagerError('ERR_MACHINE', `cannot reach ${path}: ${cause.message}`, { cause }))
      })
      socket.once('connect', () => resolve(new Control(socket, onEvent)))
    })
  }

  /** Whether it is closed. */
  get isClosed(): boolean {
    return this.#socket.destroyed
  }

  /** Asks, and waits for the answer at most so long. */
  request(method: string, params: Params, limitMs: number): Promise<Record<string, unknown>> {
    return this.#peer.request(method, params, limitMs)
  }

  /** Closes it; what waits is rejected. */
  close(): void {
    this.#peer.close()
  }
}
