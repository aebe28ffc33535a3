import type { EventLog } from '../store/index.ts'
import { ManagerError } from './errors.ts'
import type { EventType, ManagerEvent } from './interface.ts'

/** Listeners at once: each is called for each event. */
export const maxListeners = 1000

/** What happened to which machine. */
export interface Happening {
  /** Its name. */
  readonly machine: string
  /** Its UUID. */
  readonly uuid: string
  /** What. */
  readonly type: EventType
  /** What else belongs to it. */
  readonly more?: Readonly<Record<string, unknown>>
}

/** Tells events to listeners, in order; what was missed is in the store's log. */
export class Listeners {
  readonly #events: EventLog
  readonly #log: (line: string) => void
  readonly #listeners = new Set<(event: ManagerEvent) => void>()
  #fails = false

  /** Nobody listens yet. */
  constructor(events: EventLog, log: (line: string) => void) {
    this.#events = events
    this.#log = log
  }

  /** The number of the last event. */
  get lastSeq(): number {
    return this.#events.lastSeq
  }

  /** How many listen. */
  get count(): number {
    return this.#listeners.size
  }

  /** Keeps and tells an event. */
  add({ machine, uuid, type, more }: Happening): void {
    const at = new Date().toISOString()
    const event = this.#events.append({ ...more, at, machine, uuid, type })
    const { failure } = this.#events
    if (failure !== undefined && !this.#fails) {
      this.#log(`events are not kept, make room or repair the disk: ${failure.message}`)
    }
    this.#fails = failure !== undefined
    for (const listener of this.#listeners) this.#tell(listener, event)
  }

  /** Calls `listener` for each event after `since`, or from now on; returns what ends it. */
  listen(listener: (event: ManagerEvent) => void, since?: number): () => void {
    const missed = since === undefined ? [] : this.#after(since)
    if (this.#listeners.size >= maxListeners) {
      const message = `${maxListeners} listen for events already; end one of them`
      throw new ManagerError('ERR_LIMIT', message)
    }
    // A function of its own: the same listener may listen twice.
    const own = (event: ManagerEvent): void => listener(event)
    for (const event of missed) this.#tell(own, event)
    this.#listeners.add(own)
    return () => {
      this.#listeners.delete(own)
    }
  }

  #after(since: number): readonly ManagerEvent[] {
    if (!Number.isSafeInteger(since) || since < 0) {
      const message = `since must be the number of an event, got ${since}`
      throw new ManagerError('ERR_INVALID_OPTION', message)
    }
    const missed = this.#events.since(since)
    if (missed !== undefined) return missed
    throw new ManagerError(
      'ERR_EVENTS_GONE',
      `the events after ${since} are not kept, the last is ${this.lastSeq}: ` +
        'list the machines, and listen from there',
    )
  }

  #tell(listener: (event: ManagerEvent) => void, event: ManagerEvent): void {
    try {
      listener(event)
    } catch (error) {
      this.#log(`a listener failed at event ${event.seq}: ${String(error)}`)
    }
  }
}
