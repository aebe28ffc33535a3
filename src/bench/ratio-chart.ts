import type { RouteResult } from './document.ts'
import { above, duration } from './table.ts'

/**
 * A bar per route, the range of its pairs on it, and what that means; empty where nothing has a
 * ratio.
 */
export function ratioChart(title: string, routes: readonly RouteResult[]): string {
  const rated = routes.filter(({ ratio }) => ratio !== null)
  if (rated.length === 0) return ''
  const ticks = axis(Math.max(1.1, ...rated.map(reach)))
  const top = ticks.at(-1)!
  // A single pair far off, on a busy host, does not squeeze all the others.
  const at = (ratio: number): string => percent(Math.min(ratio / top, 1))
  const lines =
    ticks.map((tick) => `<i class="grid" style="left:${at(tick)}"></i>`).join('') +
    `<i class="one" style="left:${at(1)}"></i>`
  const scale = ticks.map((tick) => `<span style="left:${at(tick)}">${tick}</span>`)
  return (
    `<figure class="ratios" aria-label="${title}">` +
    `<div class="ratio scale" aria-hidden="true"><div class="track">${scale.join('')}</div></div>` +
    `${rated.map((route) => row(route, lines, at)).join('')}</figure>`
  )
}

function row(route: RouteResult, lines: string, at: (ratio: number) => string): string {
  const { route: name, pairs, unit, nsPerExit, baselineNsPerExit } = route
  const ratio = route.ratio ?? 0
  const [least, most] = rangeOf(pairs)
  const tip =
    `${name}: ${duration(nsPerExit.mean)} per ${unit}, baseline ${duration(baselineNsPerExit ?? 0)}; ` +
    `pairs ${least.toFixed(2)} to ${most.toFixed(2)}`
  return (
    `<div class="ratio" title="${tip}"><b class="name">${name}</b>` +
    `<div class="track">${lines}<i class="bar" style="width:${at(ratio)}"></i>` +
    `<i class="range" style="left:${at(least)};width:calc(${at(most)} - ${at(least)})"></i></div>` +
    `<b class="value">${ratio.toFixed(2)}</b><span class="above">${above(route.nsAbove)}</span>` +
    `<span class="verdict">${verdict(route)}</span></div>`
  )
}

/** What a ratio says, as far as the spread of its pairs lets it. */
export function verdict({ unit, ratio, pairs }: RouteResult): string {
  if (ratio === null) return ''
  if (unit === 'write') return 'in the time of one exit'
  const [least, most] = rangeOf(pairs)
  if (least <= 1 && most >= 1) return 'as fast, within the spread'
  if (ratio < 1 / 3) return `takes ${(1 / ratio).toPrecision(2)} times as long`
  const share = Math.round(Math.abs(1 / ratio - 1) * 100)
  return `takes ${share}% ${ratio < 1 ? 'longer' : 'less'}`
}

function rangeOf(pairs: RouteResult['pairs']): [least: number, most: number] {
  const ratios = pairs.map(({ baselineNs, routeNs }) => (baselineNs ?? 0) / routeNs)
  return [Math.min(...ratios), Math.max(...ratios)]
}

/** What the axis must hold: the bar, and the range of the pairs as far as it is not wild. */
function reach({ ratio, pairs }: RouteResult): number {
  const mean = ratio ?? 0
  return Math.max(mean, Math.min(1.3 * mean, rangeOf(pairs)[1]))
}

/** Round numbers from 0 to at least `top`, about five of them. */
function axis(top: number): number[] {
  const raw = top / 5
  const power = 10 ** Math.floor(Math.log10(raw))
  const step = [1, 2, 2.5, 5, 10].map((factor) => factor * power).find((each) => each >= raw)!
  return Array.from({ length: Math.ceil(top / step) + 1 }, (_, index) =>
    Number((index * step).toPrecision(6)),
  )
}

function percent(share: number): string {
  return `${Number((share * 100).toFixed(2))}%`
}
