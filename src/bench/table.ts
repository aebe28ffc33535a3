import { paint } from './paint.ts'
import type { BenchDocument, RouteResult } from './document.ts'

type Cell = readonly [text: string, style?: 'dim']

const heads = [
  'route',
  'unit',
  'mean',
  'ratio',
  'above',
  'spread',
  'p50',
  'p90',
  'p99',
  'max',
  'of',
]

const legend = [
  'ratio: baseline mean / route mean; 1 is as fast',
  'above: route mean - baseline mean: what is ours, whatever an exit costs here',
  'p50 to max: of single times, or of means of so many as the last column says',
]

/** The document for people. */
export function describe(document: BenchDocument): string {
  const { host, baseline, exits, routes, skipped, failed, interrupted } = document
  const cost = baseline.nsPerExit === null ? '' : `: ${duration(baseline.nsPerExit)} per port exit`
  const samples = Math.max(0, ...routes.map((route) => route.samples))
  const lines = [
    `${host.backend} · ${host.cpu} · ${host.cores} cores · Linux ${host.kernel} · Node.js ${host.node}`,
    `baseline ${paint('bold', baseline.name)}${cost} · ${exits} exits a sample, ${samples} samples`,
    '',
    ...rows(routes),
    ...(routes.length > 0 ? ['', ...legend] : []),
    ...routes.flatMap(asides).map(([name, text]) => `${paint('dim', name)}: ${text}`),
    ...skipped.map(({ route, reason }) => `${paint('yellow', 'skipped')} ${route}: ${reason}`),
    ...failed.map(({ route, reason }) => `${paint('red', 'FAILED')}  ${route}: ${reason}`),
    ...(interrupted ? [paint('yellow', 'interrupted: not everything was measured')] : []),
  ]
  return `${lines.join('\n')}\n`
}

function rows(routes: readonly RouteResult[]): string[] {
  if (routes.length === 0) return []
  const table: (readonly Cell[])[] = [heads.map((head) => [head, 'dim']), ...routes.map(row)]
  const widths = heads.map((_, column) =>
    Math.max(...table.map((cells) => cells[column]?.[0].length ?? 0)),
  )
  return table.map((cells) =>
    cells
      .map(([text, style], column) => {
        const width = widths[column] ?? 0
        const padded = column < 2 ? text.padEnd(width) : text.padStart(width)
        return style ? paint(style, padded) : padded
      })
      .join('  ')
      .trimEnd(),
  )
}

function row(route: RouteResult): Cell[] {
  const { route: name, unit, nsPerExit, ratio, nsAbove, spread, unitsPerTime } = route
  const { mean, p50, p90, p99, max } = nsPerExit
  return [
    [name],
    [unit],
    [duration(mean)],
    [ratio === null ? '-' : ratio.toFixed(2)],
    [above(nsAbove)],
    [spread === null ? '-' : `${Math.round(spread * 100)}%`],
    ...[p50, p90, p99, max].map((ns): Cell => [duration(ns)]),
    [String(unitsPerTime)],
  ]
}

/** What else there is to say of a route: its part alone, and what else C does. */
export function asides({ route, part, others }: RouteResult): [route: string, text: string][] {
  const texts = others.map(
    ({ kind, nsPerExit, ratio }) =>
      `beside ${kind} in C, ${duration(nsPerExit)}: ratio ${ratio.toFixed(2)}`,
  )
  if (part) {
    const { name, ns, baselineNs, nsAbove } = part
    const inC = baselineNs === null ? '' : `, ${duration(baselineNs)} in C, ${above(nsAbove)} above`
    texts.unshift(`${name} alone: ${duration(ns)}${inC}`)
  }
  return texts.map((text) => [route, text])
}

/** A difference with its sign; a dash where there is none. */
export function above(ns: number | null): string {
  if (ns === null) return '-'
  return ns < 0 ? duration(ns) : `+${duration(ns)}`
}

/** What the percentiles and the histogram of a route are made of. */
export function timesOf({ unit, unitsPerTime, histogram }: RouteResult): string {
  const times = histogram.reduce((sum, [, count]) => sum + count, 0)
  return unitsPerTime === 1
    ? `${times} single ${unit}s`
    : `${times} means of ${unitsPerTime} ${unit}s each`
}

/** Three significant digits with a unit. */
export function duration(ns: number): string {
  if (ns < 0) return `−${duration(-ns)}`
  const [scale, unit] = ns < 1000 ? [1, 'ns'] : ns < 1e6 ? [1e3, 'µs'] : [1e6, 'ms']
  const value = ns / scale
  return `${value >= 100 ? value.toFixed(0) : Number(value.toPrecision(3))} ${unit}`
}
