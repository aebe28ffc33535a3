import type { IncomingMessage, ServerResponse } from 'node:http'

import { ManagerError } from '../supervisor/errors.ts'
import type { MachineStats, Supervisor } from '../supervisor/interface.ts'
import type { Connections } from './connections.ts'
import { eventBufferBytes, maxEventStreams, maxSkipped, statsIntervalMs } from './limits.ts'

/** What a machine does in a second. */
interface Rates {
  /** Of one processor. */
  readonly cpu: number
  readonly rssBytes: number
  readonly memoryBytes: number
  readonly exitsPerSecond: number
  /** Each a second. */
  readonly exitsByReason: Readonly<Record<string, number>>
  readonly routes: readonly { readonly route: string; readonly perSecond: number }[]
}

/** One machine, asked again and again. */
interface Known {
  readonly stats: MachineStats
  readonly rates: Rates
}

interface Listener {
  readonly response: ServerResponse
  /** It hears each of so many rounds. */
  readonly every: number
  skipped: number
}

const headers = { 'content-type': 'text/event-stream', 'cache-control': 'no-store' }

const alive: ReadonlySet<string> = new Set(['running', 'paused', 'stopping'])

/** Streams of what all machines do: each is asked once a second, however many listen. */
export class StatsStreams {
  readonly #supervisor: Supervisor
  readonly #connections: Connections
  readonly #open = new Set<Listener>()
  readonly #known = new Map<string, Known>()
  /** Those that have not answered yet are not asked again. */
  readonly #asked = new Set<string>()
  #timer: NodeJS.Timeout | undefined
  #round = 0

  /** Of these machines. */
  constructor(supervisor: Supervisor, connections: Connections) {
    this.#supervisor = supervisor
    this.#connections = connections
  }

  /** How many are open. */
  get count(): number {
    return this.#open.size
  }

  /** Throws when there are too many for a further one. */
  check(): void {
    if (this.#open.size < maxEventStreams) return
    const message = `${maxEventStreams} streams of stats are open already; end one of them`
    throw new ManagerError('ERR_LIMIT', message)
  }

  /** Answers with a stream, or goes on in one of events. */
  open(request: IncomingMessage, response: ServerResponse, intervalMs = statsIntervalMs): void {
    this.check()
    const every = Math.max(1, Math.round(intervalMs / statsIntervalMs))
    const listener = { response, every, skipped: 0 }
    if (!response.headersSent) {
      response.writeHead(200, headers)
      response.write(`retry: ${statsIntervalMs}\n\n`)
    }
    this.#open.add(listener)
    this.#connections.whenOver(request, response, () => this.#remove(listener))
    if (this.#timer || this.#open.size === 0) return
    this.#timer = setInterval(() => this.#tick(), statsIntervalMs)
    this.#ask()
  }

  /** Ends them all. */
  close(): void {
    for (const { response } of this.#open) if (!response.writableEnded) response.end()
  }

  #remove(listener: Listener): void {
    this.#open.delete(listener)
    if (this.#open.size > 0) return
    clearInterval(this.#timer)
    this.#timer = undefined
    this.#known.clear()
  }

  #tick(): void {
    this.#round += 1
    const machines = Object.fromEntries([...this.#known].map(([name, { rates }]) => [name, rates]))
    const at = new Date().toISOString()
    const text = `event: stats\ndata: ${JSON.stringify({ at, machines })}\n\n`
    for (const listener of this.#open) {
      if (this.#round % listener.every === 0) write(listener, text)
    }
    this.#ask()
  }

  #ask(): void {
    const names = this.#supervisor.list().filter(({ state }) => alive.has(state))
    const current = new Set(names.map(({ name }) => name))
    for (const name of this.#known.keys()) if (!current.has(name)) this.#known.delete(name)
    for (const name of current) if (!this.#asked.has(name)) void this.#askOne(name)
  }

  async #askOne(name: string): Promise<void> {
    this.#asked.add(name)
    try {
      const stats = await this.#supervisor.stats(name)
      if (this.#open.size === 0) return
      const rates = ratesOf(stats, this.#known.get(name)?.stats)
      this.#known.set(name, { stats, rates })
    } catch {
      // It has ended, or does not answer: nothing is known of it.
      this.#known.delete(name)
    } finally {
      this.#asked.delete(name)
    }
  }
}

/** What waits for a slow reader is not added to; who never reads is not kept. */
function write(listener: Listener, text: string): void {
  const { response } = listener
  // The events of a stream of both end it.
  if (response.writableEnded) return
  if (response.writableLength <= eventBufferBytes) {
    listener.skipped = 0
    response.write(text)
  } else if ((listener.skipped += 1) > maxSkipped) response.destroy()
}

function ratesOf(now: MachineStats, before: MachineStats | undefined): Rates {
  const seconds = before ? (Date.parse(now.at) - Date.parse(before.at)) / 1000 : 0
  // Counters of a machine that was started again begin at 0.
  const rate = (next: number, last: number | undefined): number =>
    seconds > 0 && last !== undefined && next >= last ? (next - last) / seconds : 0
  const { rssBytes, memoryBytes } = now
  const reasons = Object.entries(now.exitsByReason).map(
    ([reason, count]) => [reason, rate(count, before?.exitsByReason[reason])] as const,
  )
  return {
    cpu: rate(now.cpuMs, before?.cpuMs) / 1000,
    rssBytes,
    memoryBytes,
    exitsPerSecond: rate(now.exits, before?.exits),
    exitsByReason: Object.fromEntries(reasons),
    routes: now.routes.map(({ route, reads, writes }, at) => {
      const last = before?.routes[at]
      return { route, perSecond: rate(reads + writes, last && last.reads + last.writes) }
    }),
  }
}
