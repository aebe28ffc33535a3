import { fail } from '../../native/errors.ts'

/** A device whose requests JavaScript takes, and answers in time. */
export interface RemoteEnd {
  /** The option that gave it, for messages. */
  readonly name: string
  /** Takes what waits, and returns whether an answer comes later. It throws nothing. */
  serve(): boolean
  /** A run has begun or ended; `mayWait` tells whether one is under way that can wait. */
  changed?(mayWait: boolean): void
  /** The machine is closed. */
  close?(): void
}

/** What of one machine JavaScript answers by requests, in the order of the native side. */
export class Remotes {
  readonly #ends: readonly RemoteEnd[]

  constructor(ends: readonly RemoteEnd[]) {
    this.#ends = ends
  }

  /** Throws where nothing can be awaited, if there is such a device. */
  checkSync(): void {
    const [first] = this.#ends
    if (!first) return
    const why = 'is answered from the event loop, for which runSync() leaves no time; use run()'
    fail('ERR_ASYNC_HANDLER', `${first.name} ${why}`)
  }

  /** Serves those whose bits are set; 1 if an answer comes later. The native side calls it. */
  readonly serve = (due: number): number => {
    let waits = false
    for (const [index, end] of this.#ends.entries()) {
      if ((due >>> index) & 1) waits = end.serve() || waits
    }
    return waits ? 1 : 0
  }

  /** A run has begun or ended. */
  changed(mayWait: boolean): void {
    for (const end of this.#ends) end.changed?.(mayWait)
  }

  /** The machine is closed. */
  close(): void {
    for (const end of this.#ends) end.close?.()
  }
}
