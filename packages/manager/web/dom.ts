/** What an element is made with. */
export interface Making {
  readonly class?: string
  readonly text?: string
  readonly attributes?: Readonly<Record<string, string>>
  readonly click?: () => void
}

/** Makes an element. Text is text: nothing here reads markup. */
export function make<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  making: Making = {},
  ...children: readonly (Node | string)[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag)
  if (making.class !== undefined) element.className = making.class
  if (making.text !== undefined) element.textContent = making.text
  for (const [name, value] of Object.entries(making.attributes ?? {}))
    element.setAttribute(name, value)
  if (making.click) element.addEventListener('click', making.click)
  if (element instanceof HTMLButtonElement) element.type = 'button'
  element.append(...children)
  return element
}

/** Sets a text, unless it is that already: a write costs layout. */
export function setText(element: Element, text: string): void {
  if (element.textContent !== text) element.textContent = text
}

/** The element of the page with this id. */
export function byId<T extends HTMLElement = HTMLElement>(id: string): T {
  const found = document.getElementById(id)
  if (!found) throw new Error(`the page has no #${id}`)
  return found as T
}

const noteMs = 8000
const maxNotes = 4

/** Says something for a while, at the edge of the page. */
export function note(text: string, kind: 'error' | 'done' = 'error'): void {
  const element = make('p', { class: kind, text })
  const notes = byId('notes')
  notes.append(element)
  if (notes.childElementCount > maxNotes) notes.firstElementChild?.remove()
  setTimeout(() => element.remove(), noteMs)
}

const KIB = 1024

/** Bytes for people. */
export function bytesText(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB']
  let [value, unit] = [bytes, 0]
  for (; value >= KIB && unit < units.length - 1; unit++) value /= KIB
  return `${value < 10 && unit > 0 ? value.toFixed(1) : Math.round(value)} ${units[unit]}`
}

/** A number for people. */
export function countText(count: number): string {
  if (count >= 1e6) return `${(count / 1e6).toFixed(1)} M`
  if (count >= 1e4) return `${Math.round(count / 1e3)} k`
  return count > 0 && count < 10 ? count.toFixed(1) : String(Math.round(count))
}

/** A time of the API, in the time of the reader. */
export function timeText(at: string): string {
  return new Date(at).toLocaleString()
}
