import uPlot from '../vendor/uplot/uPlot.esm.js'

import { bytesText, countText, make, setText } from '../dom.ts'
import type { Rates } from '../stats.ts'
import type { MakeTab, Of } from './tab.ts'

/** Reasons that have a line of their own. */
const maxLines = 6
const maxRows = 40
const chartHeight = 260
const colours = ['#3b82f6', '#f59e0b', '#10b981', '#ef4444', '#a855f7', '#14b8a6'] as const

type Pair = readonly [string, number]

interface Bar {
  readonly row: HTMLElement
  readonly label: HTMLElement
  readonly meter: HTMLProgressElement
  readonly number: HTMLElement
}

/** A table of names and rates with bars, changed in place. */
class Bars {
  readonly element: HTMLElement
  readonly #body = make('tbody')
  readonly #rows: Bar[] = []

  constructor(title: string) {
    const head = make(
      'tr',
      {},
      make('th', { text: title, attributes: { scope: 'col' } }),
      make('th', { text: 'per second', attributes: { scope: 'col' } }),
    )
    this.element = make('table', { class: 'bars' }, make('thead', {}, head), this.#body)
  }

  show(pairs: readonly Pair[]): void {
    const shown = pairs.slice(0, maxRows)
    const top = Math.max(1, ...shown.map(([, rate]) => rate))
    for (const { row } of this.#rows.splice(shown.length)) row.remove()
    while (this.#rows.length < shown.length) this.#rows.push(this.#add())
    for (const [index, { label, meter, number }] of this.#rows.entries()) {
      const [name, rate] = shown[index] as Pair
      setText(label, name)
      setText(number, countText(rate))
      meter.value = rate / top
    }
  }

  #add(): Bar {
    const label = make('span')
    const meter = make('progress', { attributes: { max: '1', 'aria-hidden': 'true' } })
    const number = make('td', { class: 'number' })
    const row = make('tr', {}, make('td', {}, label, meter), number)
    this.#body.append(row)
    return { row, label, meter, number }
  }
}

/** What happens at all, the most frequent first. */
const byRate = (pairs: readonly Pair[]): Pair[] =>
  pairs.filter(([, rate]) => rate > 0).toSorted(([, a], [, b]) => b - a)

/** The lines over time; they are made anew when others are in front. */
class Chart {
  readonly element: HTMLElement
  readonly #linesOf: (rates: Rates) => readonly Pair[]
  readonly #resized = new ResizeObserver(() => this.#fit())
  readonly #redraw = (): void => this.#plot?.redraw()
  #plot: uPlot | undefined
  #names: readonly string[] = []

  /** Of what `linesOf` takes from each second. */
  constructor(label: string, linesOf: (rates: Rates) => readonly Pair[]) {
    this.#linesOf = linesOf
    // What it draws, the tables say.
    this.element = make('div', { class: 'chart', attributes: { role: 'img', 'aria-label': label } })
    this.#resized.observe(this.element)
    window.addEventListener('theme', this.#redraw)
  }

  show(history: readonly Rates[]): void {
    const seconds = history.map((rates) => new Map(this.#linesOf(rates)))
    const sums = new Map<string, number>()
    for (const second of seconds)
      for (const [name, rate] of second) sums.set(name, (sums.get(name) ?? 0) + rate)
    const wanted = byRate([...sums])
      .slice(0, maxLines)
      .map(([name]) => name)
    const isSame =
      wanted.length === this.#names.length && wanted.every((each) => this.#names.includes(each))
    if (!isSame || !this.#plot) this.#make(wanted)
    this.#plot?.setData([
      history.map(({ at }) => at),
      ...this.#names.map((name) => seconds.map((second) => second.get(name) ?? 0)),
    ])
  }

  stop(): void {
    this.#resized.disconnect()
    window.removeEventListener('theme', this.#redraw)
    this.#plot?.destroy()
  }

  #make(names: readonly string[]): void {
    this.#plot?.destroy()
    this.#names = names
    // Asked whenever it is drawn: the theme may have changed.
    const stroke = (): string => getComputedStyle(this.element).color
    const grid = { stroke: '#8884', width: 1 }
    const values = (_: unknown, ticks: number[]): string[] => ticks.map(countText)
    this.#plot = new uPlot(
      {
        width: Math.max(200, this.element.clientWidth),
        height: chartHeight,
        series: [
          {},
          ...names.map((label, index) => ({
            label,
            stroke: colours[index % colours.length] as string,
            width: 2,
            value: (_: unknown, rate: number | null) => (rate === null ? '–' : countText(rate)),
          })),
        ],
        axes: [
          { stroke, grid, ticks: grid },
          { stroke, grid, ticks: grid, size: 60, values },
        ],
        scales: {
          y: { range: (_: unknown, __: number, top: number) => [0, Math.max(1, top * 1.1)] },
        },
      },
      [[], ...names.map(() => [])],
      this.element,
    )
  }

  #fit(): void {
    this.#plot?.setSize({ width: Math.max(200, this.element.clientWidth), height: chartHeight })
  }
}

/** A title over a chart and its table. */
const part = (title: string, chart: Chart, bars: Bars): HTMLElement =>
  make('section', { class: 'part' }, make('h3', { text: title }), chart.element, bars.element)

const reasonsOf = ({ exitsByReason }: Rates): Pair[] => Object.entries(exitsByReason)

const routesOf = ({ routes }: Rates): Pair[] =>
  routes.map(({ route, perSecond }) => [route, perSecond] as const)

/** Why and where the guest leaves its processor, live. */
export const exitsTab: MakeTab = ({ name, stats }: Of) => {
  const byReason = new Chart('Exits a second by reason', reasonsOf)
  const byRoute = new Chart('Accesses a second by route', routesOf)
  const [reasons, routes] = [new Bars('Reason'), new Bars('Route')]
  const says = make('p', { class: 'says' })
  const routed = part('By route', byRoute, routes)
  const none = make('p', { class: 'says', text: 'Its definition has no routes to count.' })
  const parts = make('div', { class: 'parts' }, part('By reason', byReason, reasons), routed, none)
  const element = make('div', { class: 'exits' }, says, parts)
  const show = (): void => {
    const last = stats.last(name)
    parts.hidden = !last
    if (!last) return setText(says, 'No figures: the machine does not run.')
    const { exitsPerSecond, cpu, rssBytes, memoryBytes } = last
    const memory = `${bytesText(memoryBytes)} of memory (${bytesText(rssBytes)} resident)`
    const figures = [`${countText(exitsPerSecond)} exits/s`, `${Math.round(cpu * 100)} % CPU`]
    setText(says, [...figures, memory].join(' · '))
    routed.hidden = last.routes.length === 0
    none.hidden = !routed.hidden
    byReason.show(stats.history(name))
    reasons.show(byRate(reasonsOf(last)))
    if (routed.hidden) return
    byRoute.show(stats.history(name))
    routes.show(byRate(routesOf(last)))
  }
  stats.addEventListener('stats', show)
  requestAnimationFrame(show)
  const stop = (): void => {
    stats.removeEventListener('stats', show)
    byReason.stop()
    byRoute.stop()
  }
  return { element, stop }
}
