import { ERROR, fail, FROM } from '../errors.ts'
import { messages } from '../xdr/events.ts'
import type { Message } from '../xdr/procedure.ts'
import type { Domain } from '../xdr/types.ts'

/** What a client can be told of machines, by the numbers of the protocol. */
export type DomainEvent =
  | {
      readonly kind: 'lifecycle'
      readonly dom: Domain
      readonly event: number
      readonly detail: number
    }
  | { readonly kind: 'reboot'; readonly dom: Domain }

/** Numbers of the events that happen here. */
const EVENT_IDS = { lifecycle: 0, reboot: 1 } as const

/** What a client waits for. */
interface Callback {
  /** What the event is of: machines, networks … */
  readonly of: string
  readonly eventId: number
  /** The only machine of which it is told. */
  readonly uuid: string | undefined
}

/** The callbacks of a connection. */
export class Callbacks {
  readonly #max: number
  readonly #tell: <M>(message: Message<M>, body: M) => void
  readonly #callbacks = new Map<number, Callback>()
  #last = 0

  constructor(max: number, tell: <M>(message: Message<M>, body: M) => void) {
    this.#max = max
    this.#tell = tell
  }

  /** How many there are. */
  get count(): number {
    return this.#callbacks.size
  }

  /** Adds one, and returns its number. */
  add(of: string, eventId: number, uuid?: string): number {
    if (this.#callbacks.size >= this.#max) {
      fail(ERROR.operationFailed, `a connection may have ${this.#max} callbacks`, FROM.remote)
    }
    this.#last++
    this.#callbacks.set(this.#last, { of, eventId, uuid })
    return this.#last
  }

  /** Removes one. */
  remove(of: string, id: number): void {
    if (this.#callbacks.get(id)?.of !== of) {
      fail(ERROR.invalidArgument, `there is no callback ${id} for ${of} events`, FROM.remote)
    }
    this.#callbacks.delete(id)
  }

  /** Removes all. */
  clear(): void {
    this.#callbacks.clear()
  }

  /** Tells the client, once for each callback that waits for it. */
  deliver(event: DomainEvent): void {
    for (const [callbackID, { of, eventId, uuid }] of this.#callbacks) {
      const isOther = uuid !== undefined && uuid !== event.dom.uuid
      if (of !== 'domain' || eventId !== EVENT_IDS[event.kind] || isOther) continue
      const { dom } = event
      if (event.kind === 'reboot') {
        this.#tell(messages.domainEventCallbackReboot, { callbackID, msg: { dom } })
      } else {
        const msg = { dom, event: event.event, detail: event.detail }
        this.#tell(messages.domainEventCallbackLifecycle, { callbackID, msg })
      }
    }
  }
}
