import { connect } from 'node:net'
import type { Duplex } from 'node:stream'

import { ManagerError } from '../errors.ts'

/** Consoles and screens of one machine that are open through the daemon. */
export const maxStreams = 64

/** Connections to the sockets of one machine. */
export class Streams {
  readonly #machine: string
  readonly #open = new Set<Duplex>()

  /** None yet. */
  constructor(machine: string) {
    this.#machine = machine
  }

  /** How many are open. */
  get count(): number {
    return this.#open.size
  }

  /** Connects to one; the machine's process drops whoever reads too slowly. */
  open(path: string, what: string): Promise<Duplex> {
    if (this.#open.size >= maxStreams) {
      const message = `${maxStreams} streams of machine '${this.#machine}' are open; close one of them`
      throw new ManagerError('ERR_LIMIT', message)
    }
    const socket = connect(path)
    this.#open.add(socket)
    socket.once('close', () => this.#open.delete(socket))
    return new Promise((resolve, reject) => {
      const fail = (cause: Error): void => {
        const message = `cannot open the ${what} of machine '${this.#machine}': ${cause.message}`
        reject(new ManagerError('ERR_MACHINE', message, { cause }))
      }
      socket.once('error', fail)
      socket.once('connect', () => {
        socket.off('error', fail)
        // The end of the machine is the end of the stream; an error tells no more than that.
        socket.on('error', () => {})
        resolve(socket)
      })
    })
  }

  /** Closes them all. */
  close(): void {
    for (const stream of this.#open) stream.destroy()
  }
}
