import { api, machinePath } from './api.ts'
import type { Live } from './live.ts'

/** What a machine costs and does in a second. */
export interface Rates {
  readonly at: number
  readonly cpu: number
  readonly rssBytes: number
  readonly memoryBytes: number
  readonly exitsPerSecond: number
  readonly exitsByReason: Readonly<Record<string, number>>
  readonly routes: readonly { readonly route: string; readonly perSecond: number }[]
}

interface Totals {
  readonly at: string
  readonly cpuMs: number
  readonly memoryBytes: number
  readonly rssBytes: number
  readonly exits: number
  readonly exitsByReason: Readonly<Record<string, number>>
  readonly routes: readonly {
    readonly route: string
    readonly reads: number
    readonly writes: number
  }[]
}

/** Seconds that a graph shows. */
export const historyLength = 120
const intervalMs = 1000
const maxPolled = 20

/** The rates of all machines, by one stream; without it, by asking for each. */
export class Stats extends EventTarget {
  readonly #live: Live
  readonly #history = new Map<string, Rates[]>()
  readonly #totals = new Map<string, Totals>()
  #isPolling = false

  /** Of these machines. */
  constructor(live: Live) {
    super()
    this.#live = live
  }

  /** The last rates of a machine; undefined while it does nothing. */
  last(name: string): Rates | undefined {
    return this.#history.get(name)?.at(-1)
  }

  /** The rates of a machine of the last two minutes, oldest first. */
  history(name: string): readonly Rates[] {
    return this.#history.get(name) ?? []
  }

  /** Begins. */
  start(): void {
    const stream = new EventSource(`/v1/stats?interval=${intervalMs}`)
    let hasOpened = false
    stream.addEventListener('open', () => (hasOpened = true))
    stream.addEventListener('stats', ({ data }: MessageEvent<string>) => this.#heard(data))
    stream.addEventListener('error', () => {
      if (stream.readyState !== EventSource.CLOSED) return
      if (hasOpened || this.#live.trouble !== undefined)
        setTimeout(() => this.start(), 2 * intervalMs)
      else if (!this.#isPolling) this.#poll()
    })
  }

  #heard(data: string): void {
    const { at, machines } = JSON.parse(data) as {
      at: string
      machines: Record<string, Omit<Rates, 'at'>>
    }
    const seconds = Date.parse(at) / 1000
    this.#forget(new Set(Object.keys(machines)))
    for (const [name, rates] of Object.entries(machines))
      this.#keep(name, { ...rates, at: seconds })
    this.dispatchEvent(new Event('stats'))
  }

  #keep(name: string, rates: Rates): void {
    const history = this.#history.get(name) ?? []
    history.push(rates)
    if (history.length > historyLength) history.shift()
    this.#history.set(name, history)
  }

  #forget(told: ReadonlySet<string>): void {
    for (const name of this.#history.keys()) if (!told.has(name)) this.#history.delete(name)
  }

  #poll(): void {
    this.#isPolling = true
    setTimeout(() => this.#poll(), intervalMs)
    void this.#askAll()
  }

  async #askAll(): Promise<void> {
    const running = [...this.#live.machines.values()].filter(({ pid }) => pid !== undefined)
    const names = running.slice(0, maxPolled).map(({ name }) => name)
    this.#forget(new Set(names))
    await Promise.allSettled(names.map((name) => this.#ask(name)))
    this.dispatchEvent(new Event('stats'))
  }

  async #ask(name: string): Promise<void> {
    const now = await api<Totals>('GET', machinePath(name, 'stats'))
    const before = this.#totals.get(name)
    this.#totals.set(name, now)
    if (before) this.#keep(name, ratesBetween(before, now))
  }
}

function ratesBetween(before: Totals, now: Totals): Rates {
  const ms = Math.max(1, Date.parse(now.at) - Date.parse(before.at))
  const rate = (from: number, to: number): number => (Math.max(0, to - from) * 1000) / ms
  const reasons = Object.entries(now.exitsByReason).map(
    ([reason, count]) => [reason, rate(before.exitsByReason[reason] ?? 0, count)] as const,
  )
  const { memoryBytes, rssBytes } = now
  return {
    at: Date.parse(now.at) / 1000,
    cpu: Math.max(0, now.cpuMs - before.cpuMs) / ms,
    memoryBytes,
    rssBytes,
    exitsPerSecond: rate(before.exits, now.exits),
    exitsByReason: Object.fromEntries(reasons),
    routes: now.routes.map(({ route, reads, writes }, index) => {
      const old = before.routes[index] ?? { reads: 0, writes: 0 }
      return { route, perSecond: rate(old.reads + old.writes, reads + writes) }
    }),
  }
}
