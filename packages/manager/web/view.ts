import { Actions } from './actions.ts'
import { CrashReport } from './crash.ts'
import { byId, make, setText } from './dom.ts'
import { stateText } from './list.ts'
import type { Live } from './live.ts'
import type { Stats } from './stats.ts'
import { consoleTab } from './tabs/console.ts'
import { definitionTab } from './tabs/definition.ts'
import { eventsTab } from './tabs/events.ts'
import { exitsTab } from './tabs/exits.ts'
import { logTab } from './tabs/log.ts'
import { screenTab } from './tabs/screen.ts'
import { snapshotsTab } from './tabs/snapshots.ts'
import type { MakeTab, Tab } from './tabs/tab.ts'

const kinds: Readonly<Record<string, MakeTab>> = {
  Console: consoleTab,
  Screen: screenTab,
  Exits: exitsTab,
  Snapshots: snapshotsTab,
  Definition: definitionTab,
  Events: eventsTab,
  Log: logTab,
}

/** One machine: its actions and its tabs, of which one is open. */
export class View {
  readonly #live: Live
  readonly #stats: Stats
  readonly #name: string
  readonly #actions: Actions
  readonly #buttons = new Map<string, HTMLButtonElement>()
  readonly #state = make('span', { class: 'state' })
  readonly #crash = new CrashReport()
  readonly #panel = make('section', {
    class: 'panel',
    attributes: { role: 'tabpanel', tabindex: '0' },
  })
  readonly #show = (): void => this.#update()
  #open = 'Console'
  #tab: Tab | undefined

  /** Of the machine of this name; `turn` is called with a tab's name when it is chosen. */
  constructor(live: Live, stats: Stats, name: string, turn: (tab: string) => void) {
    this.#live = live
    this.#stats = stats
    this.#name = name
    this.#actions = new Actions(name, () => live.lookSoon())
    const tabs = make('div', { class: 'tabs', attributes: { role: 'tablist' } })
    for (const kind of Object.keys(kinds)) {
      const attributes = { role: 'tab', 'aria-selected': 'false' }
      const button = make('button', { text: kind, attributes, click: () => turn(kind) })
      this.#buttons.set(kind, button)
      tabs.append(button)
    }
    tabs.addEventListener('keydown', (event) => this.#arrow(event, turn))
    const back = make('a', { class: 'back', text: '‹ Machines', attributes: { href: '#/' } })
    const title = make('h2', { text: name })
    const head = make('div', { class: 'head' }, back, title, this.#state, this.#actions.element)
    byId('view').replaceChildren(head, this.#crash.element, tabs, this.#panel)
    live.addEventListener('machines', this.#show)
  }

  /** The name of its machine. */
  get name(): string {
    return this.#name
  }

  /** Opens a tab. */
  open(name: string): void {
    const begin = kinds[name] ?? consoleTab
    const open = kinds[name] ? name : 'Console'
    if (this.#tab && open === this.#open) return
    this.#tab?.stop?.()
    this.#open = open
    for (const [kind, button] of this.#buttons) {
      button.setAttribute('aria-selected', String(kind === open))
      button.tabIndex = kind === open ? 0 : -1
    }
    const tab = begin({ name: this.#name, live: this.#live, stats: this.#stats })
    this.#tab = tab
    this.#buttons.get(open)?.scrollIntoView({ block: 'nearest', inline: 'nearest' })
    this.#panel.setAttribute('aria-label', open)
    this.#panel.replaceChildren(tab.element)
    this.#update()
  }

  /** Lets go of all that it holds. */
  stop(): void {
    this.#live.removeEventListener('machines', this.#show)
    this.#tab?.stop?.()
    byId('view').replaceChildren()
  }

  #update(): void {
    const machine = this.#live.machines.get(this.#name)
    if (!machine) return setText(this.#state, 'not defined')
    byId('view').dataset['state'] = machine.state
    setText(this.#state, stateText(machine))
    this.#actions.update(machine)
    this.#crash.update(machine)
    this.#tab?.update?.(machine)
  }

  #arrow(event: KeyboardEvent, turn: (tab: string) => void): void {
    const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key]
    if (by === undefined) return
    const names = Object.keys(kinds)
    const to = names[(names.indexOf(this.#open) + by + names.length) % names.length] as string
    turn(to)
    this.#buttons.get(to)?.focus()
    event.preventDefault()
  }
}
