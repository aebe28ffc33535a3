// The benchmark's page and table, from documents made by hand: nothing is measured here.
import test from 'ava'

import type { BenchDocument, RouteResult } from '../src/bench/document.ts'
import { histogramChart } from '../src/bench/histogram-chart.ts'
import { renderPage } from '../src/bench/page.ts'
import { verdict } from '../src/bench/ratio-chart.ts'
import { binOf, binsPerOctave, edgeOf, histogram } from '../src/bench/statistics.ts'
import { describe, timesOf } from '../src/bench/table.ts'

/** One time in the middle of each bin, from 64 ns to 2 ms: fifteen octaves. */
const bins = Array.from({ length: 15 * binsPerOctave }, (_, index) => 6 * binsPerOctave + index)
const middles = bins.map((bin) => edgeOf(bin + 0.5))

const result = (given: Partial<RouteResult> = {}): RouteResult => ({
  route: 'constant',
  unit: 'exit',
  samples: 2,
  nsPerExit: { mean: 1000, p50: 1000, p90: 1100, p99: 1200, max: 5000 },
  ratio: 0.5,
  nsAbove: 500,
  nsAboveP50: 500,
  spread: 0.1,
  ratioMedian: 0.5,
  baselineKind: 'pio',
  baselineNsPerExit: 500,
  others: [],
  part: null,
  unitsPerSample: 300,
  unitsPerTime: 1,
  about: 'port writes <here>',
  timing: 'each exit',
  baselineHistogram: histogram([480, 500, 520]),
  pairs: [
    { baselineNs: 490, routeNs: 1000 },
    { baselineNs: 510, routeNs: 1000 },
  ],
  histogram: histogram([990, 1000, 1010]),
  ...given,
})

const document = (routes: RouteResult[]): BenchDocument => ({
  schema: 'vmexit-bench/1',
  package: '0.0.0',
  date: '2026-01-01T00:00:00.000Z',
  interrupted: false,
  exits: 300,
  host: { backend: 'kvm_amd', cpu: 'a processor', kernel: '6.1', node: 'v20', cores: 2 },
  loadAverage: 0,
  baseline: { name: 'raw-c', nsPerExit: 500, about: 'a loop', kinds: [] },
  routes,
  skipped: [],
  failed: [],
})

test('every time is drawn in the bin that it fell into: no gap, none twice as high', (t) => {
  const made = histogram(middles)
  t.deepEqual(
    made.map(([, count, bin]) => [count, bin]),
    bins.map((bin) => [1, bin]),
  )
  const chart = histogramChart(result({ histogram: made, baselineHistogram: [] }))
  const bars = [...chart.matchAll(/<rect class="bar" .*? height="([\d.]+)"/g)]
  // Half a per cent and two per cent at the ends are beyond the edges, but for two bins each.
  const shown = Math.ceil(0.98 * bins.length) + 2 - Math.ceil(0.005 * bins.length) + 1 + 1
  t.true(Math.abs(bars.length - shown) <= 2, `${bars.length} bars, ${shown} bins`)
  t.is(new Set(bars.map(([, height]) => height)).size, 1)
})

test('a time on the edge of a bin belongs to it, whatever the edge is rounded to', (t) => {
  for (const bin of bins) {
    const time = Math.ceil(edgeOf(bin))
    const [[, , found] = []] = histogram([time])
    t.is(found, binOf(time))
    t.true(edgeOf(found!) <= time && time < edgeOf(found! + 1))
  }
})

test('percentiles of means are called so, on the page and in the table', (t) => {
  const means = result({ route: 'queue', unitsPerTime: 100, histogram: histogram([1, 2, 3]) })
  t.is(timesOf(means), '3 means of 100 exits each')
  t.is(timesOf(result()), '3 single exits')
  t.is(timesOf(result({ unit: 'round trip' })), '3 single round trips')
  const page = renderPage(document([result(), means]))
  t.regex(page, /<b>queue<\/b> 3 means of 100 exits each</)
  t.regex(page, /<b>constant<\/b> 3 single exits</)
  t.notRegex(page, /<b>queue<\/b> per exit/)
  const lines = describe(document([result(), means])).split('\n')
  t.regex(
    lines.find((line) => line.startsWith('queue'))!,
    / 100$/,
  )
  t.regex(
    lines.find((line) => line.startsWith('constant'))!,
    / 1$/,
  )
})

test('a ratio is told in words, no further than the spread of its pairs allows', (t) => {
  const pairs = (...ratios: number[]): RouteResult['pairs'] =>
    ratios.map((ratio) => ({ baselineNs: 1000 * ratio, routeNs: 1000 }))
  t.is(verdict(result({ ratio: 0.5, pairs: pairs(0.4, 0.6) })), 'takes 100% longer')
  t.is(verdict(result({ ratio: 0.125, pairs: pairs(0.1, 0.15) })), 'takes 8.0 times as long')
  t.is(verdict(result({ ratio: 1.25, pairs: pairs(1.2, 1.3) })), 'takes 20% less')
  t.is(verdict(result({ ratio: 0.97, pairs: pairs(0.9, 1.01) })), 'as fast, within the spread')
  t.is(verdict(result({ ratio: 8, unit: 'write' })), 'in the time of one exit')
  t.is(verdict(result({ ratio: null })), '')
})

test('what is above C stands next to every ratio, in the table and on the page', (t) => {
  const faster = result({ route: 'event', nsAbove: -6200, ratio: 4.1, unit: 'write' })
  const alone = result({ route: 'registers', ratio: null, nsAbove: null, baselineKind: null })
  const both = document([result(), faster, alone])
  const lines = describe(both).split('\n')
  const lineOf = (name: string): string => lines.find((line) => line.startsWith(name)) ?? ''
  t.regex(lineOf('constant'), / 0\.50 +\+500 ns /)
  t.regex(lineOf('event'), / 4\.10 +−6\.2 µs /)
  t.regex(lineOf('registers'), / - +- /)
  const page = renderPage(both)
  t.regex(page, /<td>0\.50<\/td><td>\+500 ns<\/td>/)
  t.regex(page, /<td>4\.10<\/td><td>−6\.2 µs<\/td>/)
  t.regex(page, /<td>–<\/td><td>–<\/td>/)
})

test('a part of a route, and what else C does, are told below the figures', (t) => {
  const other = { kind: 'lifecycle-alone', nsPerExit: 2e6, ratio: 2, nsAbove: -1e6 } as const
  const part = { name: 'restore()', ns: 2500, baselineNs: 900, nsAbove: 1600 }
  const all = document([result({ part, others: [other] })])
  for (const text of [describe(all), renderPage(all)]) {
    t.true(text.includes('restore() alone: 2.5 µs, 900 ns in C, +1.6 µs above'))
    t.true(text.includes('beside lifecycle-alone in C, 2 ms: ratio 2.00'))
  }
})

test('page, table and document speak of no goals', (t) => {
  const all = document([result(), result({ route: 'coalesce', unit: 'write', ratio: 9.8 })])
  const page = renderPage(all)
  t.notRegex(`${page}${describe(all)}${JSON.stringify(all)}`, /goal|below/i)
})

test('on a phone names, ratios and verdicts have a line of their own, and nothing has a least width', (t) => {
  const page = renderPage(document([result()]))
  const [, phone = ''] = page.split('@media(max-width:640px){')
  t.regex(phone, /\.ratio\{grid-template-columns:auto auto auto 1fr/)
  t.regex(phone, /\.track\{grid-column:1\/-1;grid-row:2/)
  t.notRegex(page, /min-width:\d/)
  // What says most stands first in the table.
  t.regex(page, /<th scope="col">route<\/th><th scope="col">ratio<\/th><th scope="col">above</)
  t.true(page.includes('port writes &lt;here&gt;'))
  t.regex(
    page,
    /<b class="name">constant<\/b>.*<b class="value">0\.50<\/b><span class="above">\+500 ns<\/span><span class="verdict">takes 100% longer</,
  )
})
