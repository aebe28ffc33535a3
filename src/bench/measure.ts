import { setImmediate as nextTurn } from 'node:timers/promises'

import type { Baseline } from './baseline/baseline.ts'
import type { Kind, KindResult, RouteResult } from './document.ts'
import type { BenchRoute } from './routes/route.ts'
import { histogram, mean, percentiles, round } from './statistics.ts'
import { type Measured, type Pair, summarize } from './summary.ts'

/** Interleaved samples per route: an even number, so that each side goes first equally often. */
const sampleCount = 8

/**
 * Both sides take turns after so many: other load on the host then meets them alike. And a Ctrl-C
 * is heard soon, for runSync() holds the event loop.
 */
const sliceExits = 5000

/** What is only worth comparing with is measured less: of so many units one. */
const otherShare = 10

/** What the timing pass takes at most: enough for a 99th percentile. */
const maxTimedExits = 20_000

/** One thing that is measured in turn with others. */
interface Turn {
  /** Adds up nanoseconds; undefined once there is nothing to measure. */
  ns: number | undefined
  units: number
  /** Of so many units of the route it does one. */
  share: number
  work(units: number): Promise<number | undefined>
}

/** Measures routes beside one baseline. */
export class Bench {
  readonly #baseline: Baseline
  readonly #exits: number
  readonly #signal: AbortSignal
  /** The baseline's samples, nanoseconds per unit, and its timing pass. */
  readonly #kinds = new Map<Kind, { samples: number[]; times: number[] }>()
  /** Nanoseconds of a port exit, for a document without any route that has them. */
  #warmUp: number | undefined

  constructor(baseline: Baseline, exits: number, signal: AbortSignal) {
    this.#baseline = baseline
    this.#exits = exits
    this.#signal = signal
  }

  /** The baseline's port exits, which every document names. */
  async warmUp(): Promise<void> {
    const count = Math.min(this.#exits, sliceExits)
    const ns = await this.#baseline.total('pio', count)
    if (ns !== undefined) this.#warmUp = ns / count
  }

  /**
   * What a kind costs the baseline now, for one that cannot be measured later: a machine's life
   * while this process has none of its own.
   */
  async beforehand(kind: Kind, as: Kind, units: number): Promise<void> {
    for (let sample = 0; sample < sampleCount && !this.#signal.aborted; sample += 1) {
      const ns = await this.#baseline.total(kind, units)
      if (ns !== undefined) this.#note(as).samples.push(ns / units)
    }
  }

  /** Undefined when Ctrl-C came before there was anything. */
  async measure(route: BenchRoute, step: (text: string) => void): Promise<RouteResult | undefined> {
    const measured: Measured = { pairs: [], times: [], baselineTimes: [], others: new Map() }
    if (this.#signal.aborted) return undefined
    try {
      await this.#fill(route, measured, step)
    } catch (error) {
      if (!this.#signal.aborted) return Promise.reject(error)
    }
    return measured.pairs.length > 0 ? summarize(route, measured, this.#exits) : undefined
  }

  /** The baseline's own figures. */
  kinds(): KindResult[] {
    if (this.#warmUp !== undefined && !this.#kinds.has('pio')) {
      this.#note('pio').samples.push(this.#warmUp)
    }
    return [...this.#kinds].map(([kind, { samples, times }]) => {
      const all = times.length > 0 ? times : samples
      const nsPerExit = { mean: round(mean(samples)), ...percentiles(all) }
      return { kind, samples: samples.length, nsPerExit, histogram: histogram(all) }
    })
  }

  async #fill(route: BenchRoute, into: Measured, step: (text: string) => void): Promise<void> {
    const units = route.units(this.#exits)
    const { kind } = route
    await route.total(Math.min(units, 100), this.#signal)
    for (const other of route.others) {
      const known = this.#kinds.get(other)
      if (known) into.others.set(other, [...known.samples])
    }
    for (let sample = 0; sample < sampleCount; sample += 1) {
      step(`sample ${sample + 1} of ${sampleCount}`)
      const pair = await this.#pair(route, units, sample, into.others)
      into.pairs.push(pair)
      if (kind !== null && pair.baselineNs !== null) this.#note(kind).samples.push(pair.baselineNs)
    }
    step('timing single exits')
    const timed = Math.min(units, maxTimedExits)
    into.times = await route.each(timed, this.#signal)
    if (kind === null) return
    into.baselineTimes = await this.#baseline.each(kind, timed)
    if (into.baselineTimes.length > 0) this.#note(kind).times.push(...into.baselineTimes)
    if (!route.without) return
    const times = await route.without.each(timed, this.#signal)
    into.without = { times, baselineTimes: await this.#baseline.each(route.without.kind, timed) }
  }

  #note(kind: Kind): { samples: number[]; times: number[] } {
    const known = this.#kinds.get(kind)
    if (known) return known
    const fresh = { samples: [], times: [] }
    this.#kinds.set(kind, fresh)
    return fresh
  }

  /** One sample of each side, slice by slice in turn. */
  async #pair(
    route: BenchRoute,
    units: number,
    sample: number,
    others: Map<Kind, number[]>,
  ): Promise<Pair> {
    const { kind } = route
    const turn = (work: Turn['work'], share = 1): Turn => ({ ns: 0, units: 0, share, work })
    const inC = (of: Kind | null, share = 1): Turn =>
      turn(async (count) => (of ? this.#baseline.total(of, count) : undefined), share)
    const baseline = inC(kind)
    const own = turn((count) => route.total(count, this.#signal))
    // Those that were measured beforehand cannot be measured now.
    const rest = route.others.filter((other) => other !== 'lifecycle-alone')
    const further = rest.map((other) => [other, inC(other, otherShare)] as const)
    const turns = [baseline, own, ...further.map(([, each]) => each)]
    for (const [index, slice] of slices(units).entries()) {
      const order = (sample + index) % 2 === 0 ? turns : turns.toReversed()
      for (const each of order) await this.#take(each, slice)
    }
    for (const [other, { ns, units: done }] of further) {
      if (ns === undefined) continue
      others.set(other, [...(others.get(other) ?? []), ns / done])
      this.#note(other).samples.push(ns / done)
    }
    const perUnit = ({ ns, units: done }: Turn): number | null =>
      ns === undefined ? null : ns / done
    return { baselineNs: perUnit(baseline), routeNs: perUnit(own) ?? Number.NaN }
  }

  async #take(turn: Turn, slice: number): Promise<void> {
    if (turn.ns === undefined) return
    const units = Math.ceil(slice / turn.share)
    const ns = await turn.work(units)
    turn.units += units
    turn.ns = ns === undefined ? undefined : turn.ns + ns
    await nextTurn()
    this.#signal.throwIfAborted()
  }
}

function slices(units: number): number[] {
  const list = Array.from({ length: Math.floor(units / sliceExits) }, () => sliceExits)
  const rest = units % sliceExits
  return rest > 0 ? [...list, rest] : list
}
