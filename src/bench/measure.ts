import { setImmediate as nextTurn } from 'node:timers/promises'

import type { Baseline } from './baseline/baseline.ts'
import type { Kind, KindResult, RouteResult } from './document.ts'
import type { BenchRoute } from './routes.ts'
import { histogram, mean, median, percentiles, round } from './statistics.ts'

/** Interleaved samples per route: an even number, so that each side goes first equally often. */
const sampleCount = 8

/**
 * Both sides take turns after so many: other load on the host then meets them alike. And a Ctrl-C
 * is heard soon, for runSync() holds the event loop.
 */
const sliceExits = 5000

/** What the timing pass takes at most: enough for a 99th percentile. */
const maxTimedExits = 20_000

interface Pair {
  baselineNs: number | null
  routeNs: number
}

/** What was measured of one route before its end, or before Ctrl-C. */
interface Measured {
  pairs: Pair[]
  /** The timing pass, nanoseconds each. */
  times: readonly number[]
  /** The baseline's. */
  baselineTimes: readonly number[]
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

  /** Undefined when Ctrl-C came before there was anything. */
  async measure(route: BenchRoute, step: (text: string) => void): Promise<RouteResult | undefined> {
    const measured: Measured = { pairs: [], times: [], baselineTimes: [] }
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
    await route.total(Math.min(units, 100), this.#signal)
    for (let sample = 0; sample < sampleCount; sample += 1) {
      step(`sample ${sample + 1} of ${sampleCount}`)
      const pair = await this.#pair(route, units, sample)
      into.pairs.push(pair)
      if (pair.baselineNs !== null) this.#note(route.kind).samples.push(pair.baselineNs)
    }
    step('timing single exits')
    const timed = Math.min(units, maxTimedExits)
    into.times = await route.each(timed, this.#signal)
    into.baselineTimes = await this.#baseline.each(route.kind, timed)
    if (into.baselineTimes.length > 0) this.#note(route.kind).times.push(...into.baselineTimes)
  }

  #note(kind: Kind): { samples: number[]; times: number[] } {
    const known = this.#kinds.get(kind)
    if (known) return known
    const fresh = { samples: [], times: [] }
    this.#kinds.set(kind, fresh)
    return fresh
  }

  /** One sample of each side, slice by slice in turn. */
  async #pair(route: BenchRoute, units: number, sample: number): Promise<Pair> {
    let [baselineNs, routeNs]: [number | null, number] = [0, 0]
    const steps = [
      async (slice: number): Promise<void> => {
        const ns = await this.#baseline.total(route.kind, slice)
        baselineNs = ns === undefined || baselineNs === null ? null : baselineNs + ns
      },
      async (slice: number): Promise<void> => {
        routeNs += await route.total(slice, this.#signal)
      },
    ]
    for (const [index, slice] of slices(units).entries()) {
      for (const work of (sample + index) % 2 === 0 ? steps : steps.toReversed()) {
        await work(slice)
        await this.#turn()
      }
    }
    return {
      baselineNs: baselineNs === null ? null : baselineNs / units,
      routeNs: routeNs / units,
    }
  }

  async #turn(): Promise<void> {
    await nextTurn()
    this.#signal.throwIfAborted()
  }
}

function slices(units: number): number[] {
  const list = Array.from({ length: Math.floor(units / sliceExits) }, () => sliceExits)
  const rest = units % sliceExits
  return rest > 0 ? [...list, rest] : list
}

function summarize(route: BenchRoute, measured: Measured, exits: number): RouteResult {
  const { pairs, times, baselineTimes } = measured
  const own = pairs.map(({ routeNs }) => routeNs)
  const paired = pairs.flatMap(({ baselineNs }) => (baselineNs === null ? [] : [baselineNs]))
  const ratios = pairs.flatMap(({ baselineNs, routeNs }) =>
    baselineNs === null ? [] : [baselineNs / routeNs],
  )
  const ratio = paired.length > 0 ? mean(paired) / mean(own) : null
  const spread = ratio === null ? null : (Math.max(...ratios) - Math.min(...ratios)) / ratio
  const all = times.length > 0 ? times : own
  return {
    route: route.name,
    unit: route.unit,
    samples: pairs.length,
    nsPerExit: { mean: round(mean(own)), ...percentiles(all) },
    ratio: ratio === null ? null : round(ratio),
    spread: spread === null ? null : round(spread),
    ratioMedian: ratio === null ? null : round(median(ratios)),
    baselineKind: route.kind,
    baselineNsPerExit: paired.length > 0 ? round(mean(paired)) : null,
    unitsPerSample: route.units(exits),
    unitsPerTime:
      times.length > 0 ? Math.min(route.unitsPerTime, route.units(exits)) : route.units(exits),
    about: route.about,
    timing: times.length > 0 ? route.timing : 'means of the samples; Ctrl-C came before the timing',
    baselineHistogram: histogram(baselineTimes),
    pairs: pairs.map(({ baselineNs, routeNs }) => ({
      baselineNs: baselineNs === null ? null : round(baselineNs),
      routeNs: round(routeNs),
    })),
    histogram: histogram(all),
  }
}
