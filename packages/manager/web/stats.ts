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

/** Seconds that a graph shows. */
export const historyLength = 120

/** The rates of all machines, as they come. */
export class Stats extends EventTarget {
  readonly #history = new Map<string, Rates[]>()

  /** Of these machines. */
  constructor(live: Live) {
    super()
    live.addEventListener('stats', (event) => this.#heard((event as MessageEvent<string>).data))
  }

  /** The last rates of a machine; undefined while it does nothing. */
  last(name: string): Rates | undefined {
    return this.#history.get(name)?.at(-1)
  }

  /** The rates of a machine of the last two minutes, oldest first. */
  history(name: string): readonly Rates[] {
    return this.#history.get(name) ?? []
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
}
