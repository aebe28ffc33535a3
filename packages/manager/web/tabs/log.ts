import { apiBytes, machinePath } from '../api.ts'
import { bytesText, make, setText } from '../dom.ts'
import type { MakeTab } from './tab.ts'

/** Bytes of the end of the log that are asked for. */
const maxBytes = 512 * 1024
const maxLines = 5000
const typedMs = 150

// Escape sequences: colours and moves of the cursor mean nothing here.
// oxlint-disable-next-line no-control-regex
const escapes = /\u001B(?:\[[0-9;?]*[ -/]*[@-~]|\][^\u0007\u001B]*(?:\u0007|\u001B\\)?|.)/g
// oxlint-disable-next-line no-control-regex
const controls = /[\u0000-\u0008\u000B-\u001F\u007F]/g

/** The lines of a text with some words in them, the last ones. */
function matching(text: string, search: string): string[] {
  const wanted = search.toLowerCase()
  const lines = text.split('\n')
  const found = wanted ? lines.filter((line) => line.toLowerCase().includes(wanted)) : lines
  return found.slice(-maxLines)
}

/** What the machine has printed, with a search. */
export const logTab: MakeTab = ({ name }) => {
  const says = make('span', { class: 'says', attributes: { role: 'status' } })
  const label = { type: 'search', placeholder: 'Search the log', 'aria-label': 'Search the log' }
  const search = make('input', { attributes: label })
  const lines = make('pre', { attributes: { tabindex: '0', 'aria-label': 'Log' } })
  let text = ''
  let timer: ReturnType<typeof setTimeout> | undefined
  const show = (): void => {
    const found = matching(text, search.value)
    lines.textContent = found.join('\n')
    setText(
      says,
      `${found.length} ${found.length === 1 ? 'line' : 'lines'} of the last ${bytesText(text.length)}`,
    )
    lines.scrollTop = lines.scrollHeight
  }
  const read = async (): Promise<void> => {
    try {
      const bytes = await apiBytes(`${machinePath(name, 'log')}?bytes=${maxBytes}`)
      text = new TextDecoder().decode(bytes).replace(escapes, '').replace(controls, '')
      show()
    } catch (error) {
      setText(says, (error as Error).message)
    }
  }
  search.addEventListener('input', () => {
    clearTimeout(timer)
    timer = setTimeout(show, typedMs)
  })
  const again = make('button', { text: 'Read again', click: () => void read() })
  const element = make('div', { class: 'log' }, make('div', { class: 'bar' }, search, again, says))
  element.append(lines)
  void read()
  return { element, stop: () => clearTimeout(timer) }
}
