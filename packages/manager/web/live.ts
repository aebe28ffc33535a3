import { ApiError, api, type Machine, type MachineEvent } from './api.ts'

/** Events that the page keeps. */
const maxEvents = 1000
/** How far back it asks for them. */
const backThen = 300
/** Events that come together are one look at the list. */
const togetherMs = 60
const firstRetryMs = 500
const maxRetryMs = 8000
/** Without a word of the daemon. */
const silentMs = 10_000
/** Between two stats. */
const intervalMs = 1000
/** A page that is not seen holds a connection for so long: browsers have about six for a host. */
const hiddenMs = 5000

interface Listing {
  readonly machines: readonly Machine[]
  readonly lastSeq: number
}

/**
 * The machines and what happens to them, kept up to date by a stream. Of a stream's `stats` it
 * tells by events of that name.
 */
export class Live extends EventTarget {
  /** By name. */
  readonly machines = new Map<string, Machine>()
  /** What happened, oldest first. */
  events: MachineEvent[] = []
  /** Why the page is out of date, if it is. */
  trouble: string | undefined
  #stream: EventSource | undefined
  #looking: ReturnType<typeof setTimeout> | undefined
  #retryMs = firstRetryMs
  #goesBack = true
  #hiding: ReturnType<typeof setTimeout> | undefined
  #isHidden = false
  /** Which stream is the one: what others say comes too late. */
  #turn = 0
  #watch: ReturnType<typeof setTimeout> | undefined

  /** Of the daemon that the page is from. */
  constructor() {
    super()
    document.addEventListener('visibilitychange', () => this.#seen())
  }

  /** Reads the list, and follows it; tries again until that succeeds. */
  async start(): Promise<void> {
    const turn = this.#leave()
    try {
      const lastSeq = await this.#look()
      if (turn === this.#turn) this.#follow(lastSeq, turn)
    } catch (error) {
      if (turn !== this.#turn) return
      this.#lost(error as Error)
      this.#startLater()
    }
  }

  /** Reads the list soon; for after a deed whose event is on its way. */
  lookSoon(): void {
    if (this.#looking !== undefined) return
    this.#looking = setTimeout(() => {
      this.#looking = undefined
      this.#look().catch((error: Error) => {
        this.#lost(error)
        if (!this.#isHidden) void this.start()
      })
    }, togetherMs)
  }

  /** Ends what is under way, whose answers nobody waits for any more. */
  #leave(): number {
    this.#stream?.close()
    clearTimeout(this.#watch)
    return (this.#turn += 1)
  }

  #startLater(): void {
    this.#watch = setTimeout(() => void this.start(), this.#retryMs)
    this.#retryMs = Math.min(maxRetryMs, this.#retryMs * 2)
  }

  #seen(): void {
    clearTimeout(this.#hiding)
    this.#hiding = undefined
    if (document.visibilityState === 'hidden')
      this.#hiding = setTimeout(() => this.#hide(), hiddenMs)
    else if (this.#isHidden) {
      this.#isHidden = false
      void this.start()
    }
  }

  #hide(): void {
    this.#isHidden = true
    this.#leave()
  }

  /** The daemon says something each second: a silent one is gone, or stuck. */
  #listenOn(): void {
    clearTimeout(this.#watch)
    this.#watch = setTimeout(() => {
      this.#lost(new ApiError(0, 'The daemon does not answer'))
      void this.start()
    }, silentMs)
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
  #follow(lastSeq: number, turn: number): void {
    const known = this.events.at(-1)?.seq
    const since = known ?? (this.#goesBack ? Math.max(0, lastSeq - backThen) : lastSeq)
    const stream = new EventSource(`/v1/live?since=${since}&interval=${intervalMs}`)
    this.#stream = stream
    this.#listenOn()
    stream.addEventListener('message', ({ data }: MessageEvent<string>) => this.#heard(data))
    stream.addEventListener('stats', ({ data }: MessageEvent<string>) => {
      this.#listenOn()
      this.dispatchEvent(new MessageEvent('stats', { data }))
    })
    stream.addEventListener('open', () => {
      this.#retryMs = firstRetryMs
      this.lookSoon()
    })
    stream.addEventListener('error', () => {
      if (turn !== this.#turn) return
      if (stream.readyState !== EventSource.CLOSED)
        return this.#lost(new ApiError(0, 'The daemon does not answer'))
      // Those events are gone, or the daemon is: the list is read anew.
      this.#goesBack = false
      this.events = []
      this.#leave()
      this.#startLater()
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
