import { api, type Machine, machinePath, type State } from './api.ts'
import { make, note } from './dom.ts'

interface Deed {
  readonly label: string
  readonly key?: string
  /** Whether its key alone does not do it: what is pressed by mistake must not be lost. */
  readonly asks?: boolean
  readonly states: readonly State[]
  readonly path: string
}

const idle = ['defined', 'ended', 'crashed'] as const
const alive = ['running', 'paused'] as const

const deeds: readonly Deed[] = [
  { label: 'Start', key: 's', states: idle, path: 'start' },
  { label: 'Power button', key: 'b', states: ['running'], path: 'power-button' },
  { label: 'Pause', key: 'p', states: ['running'], path: 'pause' },
  { label: 'Resume', key: 'p', states: ['paused'], path: 'resume' },
  { label: 'Reset', key: 'r', asks: true, states: alive, path: 'reset' },
  { label: 'Save and end', states: alive, path: 'save' },
  {
    label: 'Kill',
    key: 'x',
    asks: true,
    states: [...alive, 'starting', 'stopping'],
    path: 'kill',
  },
]

/** A question with a yes and a no, answered by a person. */
export function isSure(question: string, yes: string): Promise<boolean> {
  return new Promise((resolve) => {
    const dialog = make('dialog', { attributes: { 'aria-label': question } })
    const answer =
      (value: string): (() => void) =>
      () =>
        dialog.close(value)
    dialog.append(
      make('p', { text: question }),
      make(
        'div',
        { class: 'buttons' },
        make('button', { text: 'Cancel', click: answer('') }),
        make('button', { class: 'danger', text: yes, click: answer('yes') }),
      ),
    )
    dialog.addEventListener('close', () => {
      dialog.remove()
      resolve(dialog.returnValue === 'yes')
    })
    document.body.append(dialog)
    dialog.showModal()
  })
}

/** Does something, and says what went wrong. */
export async function attempt(doing: () => Promise<unknown>): Promise<boolean> {
  try {
    await doing()
    return true
  } catch (error) {
    note((error as Error).message)
    return false
  }
}

/** Does to a machine what a key means, if its state allows it; resolves when it is done. */
export async function actByKey({ name, state }: Machine, key: string): Promise<void> {
  const deed = deeds.find((each) => each.key === key && each.states.includes(state))
  if (!deed || (deed.asks && !(await isSure(`${deed.label} ${name}?`, deed.label)))) return
  await attempt(() => api('POST', machinePath(name, deed.path)))
}

/** The buttons over a machine: those that its state allows can be pressed. */
export class Actions {
  /** The bar. */
  readonly element = make('div', {
    class: 'actions',
    attributes: { role: 'toolbar', 'aria-label': 'Actions' },
  })
  readonly #buttons = new Map<Deed, HTMLButtonElement>()
  readonly #name: string
  readonly #remove: HTMLButtonElement
  readonly #done: () => void

  /** Of the machine of this name; `done` is called after a deed. */
  constructor(name: string, done: () => void) {
    this.#name = name
    this.#done = done
    for (const deed of deeds) {
      const attributes = deed.key === undefined ? {} : { 'aria-keyshortcuts': deed.key }
      const click = (): void => void this.#do(deed)
      const button = make('button', { text: deed.label, attributes, click })
      if (deed.path === 'start') button.classList.add('primary')
      if (deed.path === 'kill') button.classList.add('danger')
      button.dataset['deed'] = deed.path
      this.#buttons.set(deed, button)
      this.element.append(button)
    }
    const click = (): void => void this.#undefine()
    this.#remove = make('button', { class: 'danger', text: 'Remove…', click })
    this.element.append(this.#remove)
  }

  /** Shows what can be done now. */
  update({ state }: Machine): void {
    for (const [deed, button] of this.#buttons) button.hidden = !deed.states.includes(state)
    this.#remove.hidden = !(idle as readonly State[]).includes(state)
  }

  async #do({ path }: Deed): Promise<void> {
    const buttons = [...this.#buttons.values()]
    for (const button of buttons) button.disabled = true
    await attempt(() => api('POST', machinePath(this.#name, path)))
    for (const button of buttons) button.disabled = false
    this.#done()
  }

  async #undefine(): Promise<void> {
    const question = `Remove ${this.#name}, with its text and snapshots?`
    if (await isSure(question, 'Remove'))
      await attempt(() => api('DELETE', machinePath(this.#name)))
    this.#done()
  }
}
