import type { Machine, State } from './api.ts'
import { byId, bytesText, countText, make, setText } from './dom.ts'
import type { Live } from './live.ts'
import type { Rates, Stats } from './stats.ts'

interface Row {
  readonly item: HTMLLIElement
  readonly link: HTMLAnchorElement
  readonly state: HTMLElement
  readonly cpu: HTMLElement
  readonly memory: HTMLElement
  readonly exits: HTMLElement
  readonly spark: HTMLCanvasElement
}

/** States without a process. */
const over: ReadonlySet<unknown> = new Set<State>(['defined', 'ended', 'crashed'])

/** The list of machines: rows are changed in place, and none is drawn that nobody sees. */
export class List {
  readonly #live: Live
  readonly #stats: Stats
  readonly #rows = new Map<string, Row>()
  readonly #element = byId<HTMLUListElement>('machines')
  readonly #search = byId<HTMLInputElement>('search')
  readonly #seen = new WeakSet<Element>()
  readonly #observer = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries)
      if (isIntersecting) this.#seen.add(target)
      else this.#seen.delete(target)
  })
  #selected: string | undefined

  /** Of these machines. */
  constructor(live: Live, stats: Stats) {
    this.#live = live
    this.#stats = stats
    live.addEventListener('machines', () => this.#show())
    stats.addEventListener('stats', () => this.#showRates())
    this.#search.addEventListener('input', () => this.#show())
    window.addEventListener('theme', () => this.#showRates())
  }

  /** Marks a machine as the one that is shown. */
  select(name: string | undefined): void {
    this.#selected = name
    for (const [each, { link }] of this.#rows) {
      if (each === name) link.setAttribute('aria-current', 'page')
      else link.removeAttribute('aria-current')
    }
  }

  /** The machine of the row that has the focus. */
  get focused(): string | undefined {
    return [...this.#rows].find(([, { link }]) => link === document.activeElement)?.[0]
  }

  /** Moves the focus by rows. */
  move(by: number): void {
    const links = [...this.#rows.values()].filter(({ item }) => !item.hidden)
    const at = links.findIndex(({ link }) => link === document.activeElement)
    const from = at < 0 ? links.findIndex(({ link }) => link.hasAttribute('aria-current')) : at
    const to = from < 0 ? 0 : Math.min(links.length - 1, Math.max(0, from + by))
    links[to]?.link.focus()
  }

  #show(): void {
    const machines = [...this.#live.machines.values()].toSorted((a, b) =>
      a.name < b.name ? -1 : 1,
    )
    for (const [name, { item }] of this.#rows)
      if (!this.#live.machines.has(name)) {
        this.#observer.unobserve(item)
        item.remove()
        this.#rows.delete(name)
      }
    let hasNew = false
    const words = this.#search.value.toLowerCase().split(/\s+/)
    for (const machine of machines) {
      const known = this.#rows.get(machine.name)
      const row = known ?? this.#make(machine.name)
      hasNew ||= !known
      const text = `${machine.name} ${machine.state} ${machine.reason ?? ''}`.toLowerCase()
      row.item.hidden = !words.every((word) => text.includes(word))
      row.item.dataset['state'] = machine.state
      setText(row.state, stateText(machine))
    }
    // Rows are moved only when one is new: the names' order does not change.
    if (hasNew) this.#order(machines)
    this.#sum(machines)
    this.select(this.#selected)
    this.#showRates()
  }

  #order(machines: readonly Machine[]): void {
    const rows = new Map(machines.map(({ name }) => [name, this.#rows.get(name) as Row]))
    this.#rows.clear()
    for (const [name, row] of rows) this.#rows.set(name, row)
    this.#element.append(...[...rows.values()].map(({ item }) => item))
  }

  #sum(machines: readonly Machine[]): void {
    const running = machines.filter(({ state }) => state === 'running').length
    setText(byId('summary'), `${running} of ${machines.length} running`)
    const shown = [...this.#rows.values()].some(({ item }) => !item.hidden)
    const nothing = byId('nothing')
    nothing.hidden = shown
    setText(nothing, machines.length === 0 ? 'No machine is defined yet.' : 'No machine matches.')
  }

  #showRates(): void {
    const colour = getComputedStyle(this.#element).getPropertyValue('accent-color')
    for (const [name, row] of this.#rows) {
      if (row.item.hidden) continue
      // What has ended does nothing, even if the last rates say otherwise.
      const isOver = over.has(row.item.dataset['state'])
      const rates = isOver ? undefined : this.#stats.last(name)
      setText(row.cpu, rates ? `${Math.round(rates.cpu * 100)} %` : '')
      setText(row.memory, rates ? bytesText(rates.memoryBytes) : '')
      setText(row.exits, rates ? countText(rates.exitsPerSecond) : '')
      if (this.#seen.has(row.item))
        drawSpark(row.spark, isOver ? [] : this.#stats.history(name), colour)
    }
  }

  #make(name: string): Row {
    const state = make('span', { class: 'state' })
    const cpu = make('span', { class: 'number' })
    const memory = make('span', { class: 'number' })
    const exits = make('span', { class: 'number' })
    const spark = make('canvas', {
      attributes: { width: '112', height: '28', 'aria-hidden': 'true' },
    })
    const title = make('span', { class: 'title' }, make('b', { text: name }), state)
    const attributes = { href: `#/${encodeURIComponent(name)}` }
    const link = make('a', { class: 'row', attributes }, title, cpu, memory, exits, spark)
    const item = make('li', {}, link)
    this.#observer.observe(item)
    const row = { item, link, state, cpu, memory, exits, spark }
    this.#rows.set(name, row)
    return row
  }
}

/** What a machine does, with why. */
export function stateText({ state, reason }: Machine): string {
  return reason === undefined ? state : `${state}: ${reason}`
}

function drawSpark(canvas: HTMLCanvasElement, history: readonly Rates[], colour: string): void {
  const context = canvas.getContext('2d')
  if (!context) return
  const { width, height } = canvas
  const values = history.slice(-60).map(({ exitsPerSecond }) => exitsPerSecond)
  const top = Math.max(1, ...values)
  context.clearRect(0, 0, width, height)
  context.strokeStyle = colour
  context.lineWidth = 2
  context.beginPath()
  for (const [index, value] of values.entries())
    context.lineTo(
      width - (values.length - 1 - index) * (width / 59),
      height - 2 - (value / top) * (height - 4),
    )
  context.stroke()
}
