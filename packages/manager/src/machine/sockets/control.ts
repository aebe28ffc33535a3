import type { Server } from 'node:net'

import { type Answerer, type MachineEvent, Peer } from '../../wire/index.ts'
import { farewellMs, serveSocket, stopServing } from './serve.ts'

/** A control socket: whoever is connected asks, and is told events. */
export class Control {
  readonly #peers = new Set<Peer>()
  #server: Server | undefined

  /** Serves it. */
  static async serve(path: string, answer: Answerer): Promise<Control> {
    const control = new Control()
    control.#server = await serveSocket(path, (socket) => {
      const peer = new Peer(socket, { answer })
      control.#peers.add(peer)
      void peer.closed.then(() => control.#peers.delete(peer))
    })
    return control
  }

  /** Tells all who are connected. */
  emit(event: MachineEvent): void {
    for (const peer of this.#peers) peer.emit(event)
  }

  /** Accepts nobody any more, and lets those who are connected go once they were told all. */
  async close(): Promise<void> {
    if (this.#server) stopServing(this.#server)
    await Promise.all(Array.from(this.#peers, (peer) => peer.end(farewellMs)))
  }
}
