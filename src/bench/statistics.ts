/** How a set of times is spread. */
export interface Percentiles {
  p50: number
  p90: number
  p99: number
  max: number
}

/**
 * Times in bins of equal width on a logarithmic scale: lower edge in nanoseconds, how many, and
 * which bin. The edge is rounded, and does not tell the bin.
 */
export type Histogram = [ns: number, count: number, bin: number][]

/** Each bin is 4.4 % wide. */
export const binsPerOctave = 16

export function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length
}

/** The middle value. */
export function median(values: readonly number[]): number {
  return quantile(
    values.toSorted((a, b) => a - b),
    0.5,
  )
}

/** The smallest value that at least this share of all does not exceed. */
function quantile(sorted: readonly number[], share: number): number {
  const rank = Math.max(Math.ceil(share * sorted.length), 1)
  return sorted[rank - 1] ?? Number.NaN
}

export function percentiles(values: readonly number[]): Percentiles {
  const sorted = values.toSorted((a, b) => a - b)
  const [p50, p90, p99, max] = [0.5, 0.9, 0.99, 1].map((share) => quantile(sorted, share))
  return { p50: round(p50!), p90: round(p90!), p99: round(p99!), max: round(max!) }
}

export function histogram(values: readonly number[]): Histogram {
  const counts = new Map<number, number>()
  for (const value of values) {
    const bin = binOf(value)
    counts.set(bin, (counts.get(bin) ?? 0) + 1)
  }
  return [...counts]
    .toSorted(([a], [b]) => a - b)
    .map(([bin, count]) => [round(edgeOf(bin)), count, bin])
}

/** The bin that a time falls into. */
export function binOf(ns: number): number {
  return Math.floor(Math.log2(Math.max(ns, 1)) * binsPerOctave)
}

/** The shortest time of a bin, in nanoseconds. */
export function edgeOf(bin: number): number {
  return 2 ** (bin / binsPerOctave)
}

/** Four significant digits below 1,000, and whole numbers above: more is noise. */
export function round(value: number): number {
  return Math.abs(value) < 1000 ? Number(value.toPrecision(4)) : Math.round(value)
}
