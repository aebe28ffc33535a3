import type { RouteResult } from './document.ts'
import { type Histogram, binsPerOctave, edgeOf } from './statistics.ts'
import { duration, timesOf } from './table.ts'

const width = 360
const height = 132
const plot = { left: 8, right: 352, top: 8, bottom: 108 }

/** Room for a label. */
const tickGap = 44

/** The bins that a drawing shows; what lies beyond is told in words. */
interface Range {
  first: number
  last: number
}

/**
 * How long exits took, one by one or the means of several: bars for the route, an outline for
 * single exits of the baseline.
 */
export function histogramChart(route: RouteResult): string {
  const baseline = route.baselineHistogram
  const range = shownRange([route.histogram, ...(baseline.length > 0 ? [baseline] : [])])
  const own = shares(route.histogram, range)
  const other = baseline.length > 0 ? shares(baseline, range) : []
  const peak = Math.max(...own, ...other, 0.01)
  const step = (plot.right - plot.left) / (range.last - range.first + 1)
  const x = (index: number): number => plot.left + index * step
  const y = (share: number): number => plot.bottom - (share / peak) * (plot.bottom - plot.top)
  const bars = own.map((share, index) =>
    share === 0
      ? ''
      : `<rect class="bar" x="${px(x(index) + 0.4)}" y="${px(y(share))}" width="${px(Math.max(step - 0.8, 0.6))}" ` +
        `height="${px(plot.bottom - y(share))}"><title>${duration(edgeOf(range.first + index))} to ` +
        `${duration(edgeOf(range.first + index + 1))}: ${percent(share)}</title></rect>`,
  )
  const outline = other.map((share, index) => `${px(x(index))} ${px(y(share))}H${px(x(index + 1))}`)
  const { p50, p90, p99, max } = route.nsPerExit
  return (
    `<figure class="panel"><figcaption><b>${route.route}</b> ${timesOf(route)}</figcaption>` +
    `<svg viewBox="0 0 ${width} ${height}" role="img" aria-label="${route.route}, ${timesOf(route)}: p50 ${duration(p50)}, p99 ${duration(p99)}">` +
    `${bars.join('')}` +
    (outline.length > 0
      ? `<path class="outline" d="M${plot.left} ${plot.bottom}L${outline.join('L')}V${plot.bottom}"/>`
      : '') +
    `<line class="axis" x1="${plot.left}" x2="${plot.right}" y1="${plot.bottom}" y2="${plot.bottom}"/>` +
    `${ticks(range, x).join('')}</svg>` +
    `<p>p50 ${duration(p50)} · p90 ${duration(p90)} · p99 ${duration(p99)} · max ${duration(max)}${beyond(route.histogram, range)}</p>` +
    `<p class="how">${route.timing}</p></figure>`
  )
}

/** From the fastest half per cent to the slowest two, at least an octave. */
function shownRange(histograms: readonly Histogram[]): Range {
  const ends = histograms.map((bins) => [binAt(bins, 0.005), binAt(bins, 0.98)] as const)
  const first = Math.min(...ends.map(([low]) => low)) - 2
  const last = Math.max(...ends.map(([, high]) => high)) + 2
  const missing = Math.max(binsPerOctave - (last - first), 0)
  return { first: first - Math.floor(missing / 2), last: last + Math.ceil(missing / 2) }
}

function binAt(bins: Histogram, share: number): number {
  const wanted = share * total(bins)
  let seen = 0
  for (const [, count, bin] of bins) {
    seen += count
    if (seen >= wanted) return bin
  }
  return 0
}

/** Of each shown bin, its share of all times. */
function shares(bins: Histogram, { first, last }: Range): number[] {
  const all = total(bins)
  const list = Array.from({ length: last - first + 1 }, () => 0)
  for (const [, count, bin] of bins) {
    const index = bin - first
    if (index >= 0 && index < list.length) list[index]! += count / all
  }
  return list
}

/** 1, 2 and 5 of every power of ten; where those are too many, or too few, others. */
function ticks(range: Range, x: (index: number) => number): string[] {
  const octaves = (range.last - range.first) / binsPerOctave
  const factors = octaves > 7 ? [1] : octaves > 3 ? [1, 2, 5] : [1, 1.5, 2, 3, 4, 5, 6, 8]
  const marks: string[] = []
  let next = plot.left + 16
  for (let power = 0; power < 11; power += 1) {
    for (const factor of factors) {
      const ns = factor * 10 ** power
      const at = x(Math.log2(ns) * binsPerOctave - range.first)
      if (at < next || at > plot.right - 16) continue
      next = at + tickGap
      marks.push(
        `<line class="axis" x1="${px(at)}" x2="${px(at)}" y1="${plot.bottom}" y2="${plot.bottom + 4}"/>` +
          `<text class="tick" x="${px(at)}" y="${plot.bottom + 17}" text-anchor="middle">${duration(ns)}</text>`,
      )
    }
  }
  return marks
}

function beyond(bins: Histogram, { last }: Range): string {
  const slower = total(bins.filter(([, , bin]) => bin > last))
  return slower === 0 ? '' : ` · ${percent(slower / total(bins))} lie beyond the right edge`
}

function total(bins: Histogram): number {
  return bins.reduce((sum, [, count]) => sum + count, 0)
}

function percent(share: number): string {
  return `${Number((share * 100).toPrecision(2))}%`
}

function px(value: number): string {
  return String(Number(value.toFixed(1)))
}
