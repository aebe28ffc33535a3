import type { Kind, Other, Part, RouteResult } from './document.ts'
import type { BenchRoute } from './routes/route.ts'
import { histogram, mean, median, percentiles, round } from './statistics.ts'

/** One sample of both sides, nanoseconds per unit. */
export interface Pair {
  baselineNs: number | null
  routeNs: number
}

/** A timing pass of both sides, nanoseconds each. */
interface Times {
  times: readonly number[]
  baselineTimes: readonly number[]
}

/** What was measured of one route before its end, or before Ctrl-C. */
export interface Measured extends Times {
  pairs: Pair[]
  /** Samples of what else the baseline does. */
  others: Map<Kind, number[]>
  /** The same without the part that the route is about. */
  without?: Times
}

/** A route's figures, made of what was measured. */
export function summarize(route: BenchRoute, measured: Measured, exits: number): RouteResult {
  const { pairs, times, baselineTimes } = measured
  const own = pairs.map(({ routeNs }) => routeNs)
  const paired = present(pairs.map(({ baselineNs }) => baselineNs))
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
    nsAbove: ratio === null ? null : round(mean(own) - mean(paired)),
    nsAboveP50: baselineTimes.length > 0 ? round(median(all) - median(baselineTimes)) : null,
    spread: spread === null ? null : round(spread),
    ratioMedian: ratio === null ? null : round(median(ratios)),
    baselineKind: route.kind,
    baselineNsPerExit: paired.length > 0 ? round(mean(paired)) : null,
    others: [...measured.others].map(([kind, samples]) => other(kind, mean(samples), mean(own))),
    part: part(route.without?.part, measured, measured.without),
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

function other(kind: Kind, ns: number, own: number): Other {
  return { kind, nsPerExit: round(ns), ratio: round(ns / own), nsAbove: round(own - ns) }
}

/**
 * Differences are small beside what they are taken from, so they are of medians, which other load
 * on the host moves least.
 */
function part(name: string | undefined, all: Times, without: Times | undefined): Part | null {
  if (name === undefined || !without) return null
  const ns = median(all.times) - median(without.times)
  if (without.baselineTimes.length === 0) {
    return { name, ns: round(ns), baselineNs: null, nsAbove: null }
  }
  const baselineNs = median(all.baselineTimes) - median(without.baselineTimes)
  return {
    name,
    ns: round(ns),
    baselineNs: round(baselineNs),
    nsAbove: round(ns - baselineNs),
  }
}

function present(values: readonly (number | null)[]): number[] {
  return values.filter((value) => value !== null)
}
