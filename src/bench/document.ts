import type { Histogram, Percentiles } from './statistics.ts'

/**
 * What the baseline does once per unit: a port write, an MMIO write, a halt; a function call, in
 * ring 0 and in ring 3; a system call; a million rounds of work, without a machine; a step; a run
 * that writes so many pages, without and with a reset after it; a fork, from a pool and
 * newly made; a machine's whole life, also before this process had a machine. And what
 * `child_process` does: a static program, Python's start, and a loop in Python, timed in it.
 */
export type Kind =
  | (
      | 'pio'
      | 'mmio'
      | 'hlt'
      | 'call'
      | 'user-call'
      | 'syscall'
      | 'compute'
      | 'step'
      | 'fork'
      | 'fork-new'
      | 'lifecycle'
      | 'lifecycle-alone'
      | 'child-hello'
      | 'child-python'
      | 'child-python-loop'
    )
  | `${'pages' | 'reset'}-${1 | 10 | 100}`

/** One kind of work as the baseline does it. */
export interface KindResult {
  kind: Kind
  samples: number
  nsPerExit: { mean: number } & Percentiles
  histogram: Histogram
}

/** Another kind of the baseline's beside a route. */
export interface Other {
  kind: Kind
  nsPerExit: number
  ratio: number
  nsAbove: number
}

/** A part of a route's work. */
export interface Part {
  /** The call that it is. */
  name: string
  ns: number
  baselineNs: number | null
  nsAbove: number | null
}

/** One route, beside the baseline that it was measured with. */
export interface RouteResult {
  route: string
  /** What is counted: exit, write, round trip, machine. */
  unit: string
  /** Interleaved samples. */
  samples: number
  /**
   * `mean` comes from the interleaved samples; the others are of the timing pass, whose times are
   * means of `unitsPerTime`.
   */
  nsPerExit: { mean: number } & Percentiles
  /** Baseline mean divided by route mean; null where there is no baseline. */
  ratio: number | null
  /**
   * Route mean less baseline mean: what is ours. On a host that is a guest itself the exit is so
   * dear that a ratio flatters; this does not.
   */
  nsAbove: number | null
  /** The same of the medians of the timing passes, which other load on the host moves less. */
  nsAboveP50: number | null
  /** Largest less smallest ratio of a pair, divided by `ratio`. */
  spread: number | null
  /** The middle one of the pairs' ratios. */
  ratioMedian: number | null
  /** Null where C has nothing like it. */
  baselineKind: Kind | null
  baselineNsPerExit: number | null
  /** What else of the baseline this is worth comparing with. */
  others: Other[]
  /** The part that the route is about, both sides alone: what is left without the rest. */
  part: Part | null
  /** Units per sample. */
  unitsPerSample: number
  about: string
  /**
   * Units of which one time of the percentiles and of the histogram is the mean; 1 where single
   * ones are timed.
   */
  unitsPerTime: number
  /** What one time is, in words. */
  timing: string
  /** Single units of the baseline, timed after those of the route. */
  baselineHistogram: Histogram
  pairs: { baselineNs: number | null; routeNs: number }[]
  histogram: Histogram
}

interface RouteProblem {
  route: string
  reason: string
}

/** What `bench --json` says. */
export interface BenchDocument {
  schema: 'vmexit-bench/1'
  package: string
  date: string
  /** Ctrl-C ended it: routes and samples are missing. */
  interrupted: boolean
  /** Exits of one sample. */
  exits: number
  host: { backend: string; cpu: string; kernel: string; node: string; cores: number }
  /** Of the minute before the start: what else wanted the cores. */
  loadAverage: number
  baseline: {
    name: string
    /** Of a port write and back; null when it was not measured. */
    nsPerExit: number | null
    about: string
    kinds: KindResult[]
  }
  routes: RouteResult[]
  /** What this build or host does not have. */
  skipped: RouteProblem[]
  /** What went wrong. */
  failed: RouteProblem[]
}
