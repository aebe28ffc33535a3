import { type Server, type Socket, createServer } from 'node:net'

import { admit, introduce } from './handshake.ts'
import { type KeySink, SharedKeys, ViewerKeys } from './keys.ts'
import { converse } from './messages.ts'
import { patience } from './patience.ts'
import { Peer } from './peer.ts'
import { Picture, type ScreenSource } from './picture.ts'
import { Viewer } from './viewer.ts'

/** How many viewers may look at a screen, and how many may be about to. */
const maxViewers = 16
const maxStrangers = 16

/** How long a stranger has to become a viewer. */
const handshakeMs = 10_000

/** What is served, and to whom. */
export interface Service {
  screen: ScreenSource
  keyboard: KeySink
  password: string | undefined
  name: string
}

/** Viewers of one screen, over connections wherever they come from. */
export class Hub {
  readonly server: Server
  readonly #service: Service
  readonly #picture: Picture
  readonly #keys: SharedKeys
  readonly #strangers = new Set<Peer>()
  readonly #viewers = new Set<Viewer>()

  constructor(service: Service) {
    this.#service = service
    this.#picture = new Picture(service.screen)
    this.#keys = new SharedKeys(service.keyboard)
    this.server = createServer((socket) => void this.#serve(socket))
    this.server.unref()
    // A connection that could not be accepted is the viewer's loss.
    this.server.on('error', () => undefined)
  }

  /** How many look at the screen. */
  get viewers(): number {
    return this.#viewers.size
  }

  /** Drops everybody. */
  close(): void {
    for (const peer of this.#strangers) peer.close()
    for (const viewer of this.#viewers) viewer.close()
  }

  readonly #changed = (): void => {
    this.#try(() => {
      this.#picture.look()
      for (const viewer of this.#viewers) viewer.look()
    })
  }

  /** One connection, from its first byte to its last; nobody learns why it ended. */
  async #serve(socket: Socket): Promise<void> {
    const peer = new Peer(socket)
    try {
      if (await this.#meet(peer)) await this.#show(peer)
    } catch {
      // The viewer went, or said what no viewer says.
    } finally {
      peer.close()
    }
  }

  async #meet(peer: Peer): Promise<boolean> {
    if (this.#strangers.size >= maxStrangers) return false
    this.#strangers.add(peer)
    const cancel = patience(handshakeMs, () => peer.close())
    try {
      await admit(peer, this.#service.password)
      if (this.#viewers.size >= maxViewers) return false
      this.#picture.refresh()
      await introduce(peer, this.#picture, this.#service.name)
      return true
    } finally {
      cancel()
      this.#strangers.delete(peer)
    }
  }

  async #show(peer: Peer): Promise<void> {
    const viewer = new Viewer(peer, this.#picture)
    const keys = new ViewerKeys(this.#keys)
    if (this.#viewers.size === 0) this.#service.screen.on('change', this.#changed)
    this.#viewers.add(viewer)
    try {
      // What has changed before somebody listened.
      this.#picture.look()
      await converse(peer, viewer, keys)
    } finally {
      keys.release()
      viewer.close()
      this.#viewers.delete(viewer)
      if (this.#viewers.size === 0) this.#service.screen.off('change', this.#changed)
    }
  }

  /** The screen of a machine that is closed shows nothing any more. */
  #try(look: () => void): void {
    try {
      look()
    } catch {
      this.close()
    }
  }
}
