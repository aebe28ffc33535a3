import { make } from './dom.ts'

/** What the keyboard does. */
export interface Keys {
  readonly move: (by: number) => void
  readonly search: () => void
  readonly back: () => void
  readonly define: () => void
  readonly press: (key: string) => void
}

const meanings: readonly (readonly [string, string])[] = [
  ['j, ↓', 'next machine'],
  ['k, ↑', 'machine before'],
  ['Enter', 'open the machine'],
  ['/', 'search'],
  ['d', 'define a machine'],
  ['s', 'start the machine of the row, or the one that is open'],
  ['p', 'pause it, or let it go on'],
  ['b', 'press its power button'],
  ['r', 'reset it'],
  ['x', 'kill it'],
  ['Esc', 'back to the list'],
  ['Ctrl+Shift+F6', 'leave the console or the screen, to which all other keys go'],
  ['?', 'this help'],
]

/** Keys that do something to a machine. */
const pressed: readonly string[] = ['s', 'p', 'b', 'r', 'x']

/** Whether keys belong to what has the focus: a field, a terminal, the guest's screen. */
function isTaken(target: EventTarget | null): boolean {
  return (
    target instanceof Element &&
    target.closest('input, textarea, select, dialog, .terminal, .screen') !== null
  )
}

/** Shows what the keys do. */
export function openHelp(): void {
  const dialog = make('dialog', { attributes: { 'aria-label': 'Keyboard control' } })
  const list = meanings.flatMap(([key, text]) => [
    make('dt', {}, make('kbd', { text: key })),
    make('dd', { text }),
  ])
  const close = make('button', { text: 'Close', click: () => dialog.close() })
  dialog.append(
    make('h2', { text: 'Keyboard control' }),
    make('dl', {}, ...list),
    make('div', { class: 'buttons' }, close),
  )
  dialog.addEventListener('close', () => dialog.remove())
  document.body.append(dialog)
  dialog.showModal()
}

/** A terminal takes all keys, Tab too: this one leads out of it. */
function listenToExit(): void {
  const listener = (event: KeyboardEvent): void => {
    if (event.key !== 'F6' || !event.ctrlKey || !event.shiftKey) return
    event.preventDefault()
    event.stopPropagation()
    document.querySelector<HTMLElement>('[role=tab][aria-selected=true]')?.focus()
  }
  document.addEventListener('keydown', listener, { capture: true })
}

/** Listens to the keyboard. */
export function listenToKeys(keys: Keys): void {
  listenToExit()
  const search = document.getElementById('search')
  document.addEventListener('keydown', (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey) return
    const { key, target } = event
    if (key === 'Escape' && target === search) return search?.blur()
    if (isTaken(target)) return
    const isTab = target instanceof Element && target.getAttribute('role') === 'tab'
    const deeds: Readonly<Record<string, () => void>> = {
      j: () => keys.move(1),
      k: () => keys.move(-1),
      ArrowDown: () => keys.move(1),
      ArrowUp: () => keys.move(-1),
      '/': keys.search,
      '?': openHelp,
      d: keys.define,
      Escape: keys.back,
    }
    const deed = Object.hasOwn(deeds, key)
      ? deeds[key]
      : pressed.includes(key) && (() => keys.press(key))
    if (!deed || (isTab && key.startsWith('Arrow'))) return
    event.preventDefault()
    deed()
  })
}
