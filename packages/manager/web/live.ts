import { ApiError, api, type Machine, type MachineEvent } from './api.ts'

/** Events that the page keeps. */
const maxEvents = 1000
/** How far back it asks for them. */
const backThen = 300
/** Events that come together are one look at the list. */
const togetherMs = 60
const maxRetryMs = 8000

interface Listing {
  readonly machines: readonly Machine[]
  readonly lastSeq: number
}

/** The machines and what happens to them, kept up to date by the stream of events. */
export class Live extends EventTarget {
  /** By name. */
  readonly machines = new Map<string, Machine>()
  /** What happened, oldest first. */
  events: MachineEvent[] = []
  /** Why the page is out of date, if it is. */
  trouble: string | undefined
  #stream: EventSource | undefined
  #looking: ReturnType<typeof setTimeout> | undefined
  #retryMs = 500
  #goesBack = true

  /** Reads the list, and follows it; tries again until that succeeds. */
  async start(): Promise<void> {
    this.#stream?.close()
    try {
      const lastSeq = await this.#look()
      this.#follow(lastSeq)
    } catch (error) {
      this.#lost(error as Error)
      setTimeout(() => void this.start(), this.#retryMs)
      this.#retryMs = Math.min(maxRetryMs, this.#retryMs * 2)
    }
  }

  /** Reads the list soon; for after a deed whose event is on its way. */
  lookSoon(): void {
    if (this.#looking !== undefined) return
    this.#looking = setTimeout(() => {
      this.#looking = undefined
      this.#look().catch((error: Error) => this.#lost(error))
    }, togetherMs)
  }

  async #look(): Promise<number> {
    const { machines, lastSeq } = await api<Listing>('GET', '/v1/machines')
    const names = new Set(machines.map(({ name }) => name))
    for (const name of this.machines.keys()) if (!names.has(name)) this.machines.delete(name)
    for (const machine of machines) this.machines.set(machine.name, machine)
    this.#found()
    this.dispatchEvent(new Event('machines'))
    return lastSeq
  }

  /** The browser itself comes again after a lost connection, with Last-Event-ID. */
  #follow(lastSeq: number): void {
    const known = this.events.at(-1)?.seq
    const since = known ?? (this.#goesBack ? Math.max(0, lastSeq - backThen) : lastSeq)
    const stream = new EventSource(`/v1/events?since=${since}`)
    this.#stream = stream
    stream.addEventListener('message', ({ data }: MessageEvent<string>) => this.#heard(data))
    stream.addEventListener('open', () => {
      this.#retryMs = 500
      this.lookSoon()
    })
    stream.addEventListener('error', () => {
      if (stream.readyState !== EventSource.CLOSED)
        return this.#lost(new ApiError(0, 'the daemon does not answer'))
      // Those events are gone, or the daemon is: the list is read anew.
      this.#goesBack = false
      this.events = []
      setTimeout(() => void this.start(), this.#retryMs)
      this.#retryMs = Math.min(maxRetryMs, this.#retryMs * 2)
    })
  }

  #heard(data: string): void {
    const event = JSON.parse(data) as MachineEvent
    if (event.seq <= (this.events.at(-1)?.seq ?? -1)) return
    this.events.push(event)
    if (this.events.length > 2 * maxEvents) this.events = this.events.slice(-maxEvents)
    this.dispatchEvent(new Event('events'))
    this.lookSoon()
  }

  #found(): void {
    if (this.trouble === undefined) return
    this.trouble = undefined
    this.dispatchEvent(new Event('trouble'))
  }

  #lost({ message, ...rest }: Error & { status?: number }): void {
    const isStranger = rest.status === 401 || rest.status === 403
    this.trouble = isStranger
      ? 'This page is not authorised any more: run `vmexit web` for a fresh address.'
      : `${message}: what you see is out of date. Trying again…`
    this.dispatchEvent(new Event('trouble'))
  }
}
