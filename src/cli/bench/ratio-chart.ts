import type { RouteResult } from './document.ts'
import { duration } from './table.ts'

/** In units of the drawing; the names stand left of the plot, the figures right of it. */
const width = 760
const plotLeft = 116
const plotRight = 590
const rowHeight = 34
const barHeight = 16
const headHeight = 26

/** A bar per route, the goals and the pairs' range on it; empty where nothing has a ratio. */
export function ratioChart(title: string, routes: readonly RouteResult[]): string {
  const rated = routes.filter(({ ratio }) => ratio !== null)
  if (rated.length === 0) return ''
  const ticks = axis(Math.max(1.1, ...rated.map(reach)))
  const top = ticks.at(-1)!
  // A single pair far off, on a busy host, does not squeeze all the others.
  const x = (ratio: number): number => plotLeft + Math.min(ratio / top, 1) * (plotRight - plotLeft)
  const height = headHeight + rated.length * rowHeight + 4
  const bottom = height - 4
  const grid = ticks.map(
    (tick) =>
      `<line class="grid" x1="${px(x(tick))}" x2="${px(x(tick))}" y1="${headHeight - 4}" y2="${bottom}"/>` +
      `<text class="tick" x="${px(x(tick))}" y="${headHeight - 10}" text-anchor="middle">${tick}</text>`,
  )
  const bars = rated.map((route, index) => bar(route, headHeight + index * rowHeight, x))
  return (
    `<figure class="ratios"><svg viewBox="0 0 ${width} ${height}" role="img" aria-label="${title}">` +
    `${grid.join('')}${bars.join('')}` +
    `<line class="one" x1="${px(x(1))}" x2="${px(x(1))}" y1="${headHeight - 4}" y2="${bottom}"/>` +
    `</svg></figure>`
  )
}

function bar(route: RouteResult, y: number, x: (ratio: number) => number): string {
  const { route: name, goal, pairs, unit, nsPerExit, baselineNsPerExit } = route
  const ratio = route.ratio ?? 0
  const middle = y + rowHeight / 2
  const barTop = middle - barHeight / 2
  const end = x(ratio)
  const ratios = pairRatios(pairs)
  const missed = goal !== null && ratio < goal
  const tip =
    `${name}: ${duration(nsPerExit.mean)} per ${unit}, baseline ${duration(baselineNsPerExit ?? 0)}; ` +
    `pairs ${Math.min(...ratios).toFixed(2)} to ${Math.max(...ratios).toFixed(2)}`
  const goalMark =
    goal === null
      ? ''
      : `<rect class="goal-gap" x="${px(x(goal) - 3)}" y="${barTop - 5}" width="6" height="${barHeight + 10}"/>` +
        `<rect class="goal" x="${px(x(goal) - 1)}" y="${barTop - 5}" width="2" height="${barHeight + 10}"/>`
  const verdict = goal === null ? '' : `${missed ? '▼ below' : '✓'} goal ${goal}`
  const corner = Math.min(4, (end - plotLeft) / 2)
  return (
    `<g><title>${tip}</title>` +
    `<rect class="hit" x="0" y="${y}" width="${width}" height="${rowHeight}"/>` +
    `<text class="name" x="${plotLeft - 10}" y="${middle + 4}" text-anchor="end">${name}</text>` +
    `<path class="bar" d="M${plotLeft} ${barTop}H${px(end - corner)}q${px(corner)} 0 ${px(corner)} ${px(corner)}` +
    `V${px(barTop + barHeight - corner)}q0 ${px(corner)} ${px(-corner)} ${px(corner)}H${plotLeft}z"/>` +
    `<line class="range" x1="${px(x(Math.min(...ratios)))}" x2="${px(x(Math.max(...ratios)))}" y1="${middle}" y2="${middle}"/>` +
    `${goalMark}` +
    `<text class="value" x="${plotRight + 46}" y="${middle + 4}" text-anchor="end">${ratio.toFixed(2)}</text>` +
    `<text class="${missed ? 'missed' : 'tick'}" x="${plotRight + 54}" y="${middle + 4}">${verdict}</text></g>`
  )
}

function pairRatios(pairs: RouteResult['pairs']): number[] {
  return pairs.map(({ baselineNs, routeNs }) => (baselineNs ?? 0) / routeNs)
}

/** What the axis must hold: bar and goal, and the range of the pairs as far as it is not wild. */
function reach({ ratio, goal, pairs }: RouteResult): number {
  const mean = ratio ?? 0
  return Math.max(mean, goal ?? 0, Math.min(1.3 * mean, Math.max(...pairRatios(pairs))))
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

function px(value: number): string {
  return String(Number(value.toFixed(1)))
}
