import { attempt, isSure } from '../actions.ts'
import { api, machinePath, type Machine, type Snapshot } from '../api.ts'
import { bytesText, make, setText, timeText } from '../dom.ts'
import { isAlive, type MakeTab } from './tab.ts'

/** A name by the time of day, which the person may change. */
function freshName(): string {
  return `s-${new Date()
    .toISOString()
    .slice(0, 19)
    .replaceAll(/[^0-9]/g, '')}`
}

function rowOf(name: string, snapshot: Snapshot, read: () => void): HTMLElement {
  const path = machinePath(name, 'snapshots', snapshot.name)
  const restore = async (): Promise<void> => {
    if (!(await isSure(`Make ${name} what it was in ${snapshot.name}?`, 'Restore'))) return
    await attempt(() => api('POST', `${path}/restore`))
  }
  const remove = async (): Promise<void> => {
    if (!(await isSure(`Remove the snapshot ${snapshot.name}?`, 'Remove'))) return
    await attempt(() => api('DELETE', path))
    read()
  }
  return make(
    'tr',
    {},
    make('td', { text: snapshot.name }),
    make('td', { text: timeText(snapshot.at) }),
    make('td', { text: bytesText(snapshot.bytes) }),
    make('td', { text: snapshot.state }),
    make('td', { text: snapshot.description ?? '' }),
    make(
      'td',
      { class: 'buttons' },
      make('button', { text: 'Restore', click: () => void restore() }),
      make('button', { class: 'danger', text: 'Remove', click: () => void remove() }),
    ),
  )
}

/** Kept states: save, restore, remove. */
export const snapshotsTab: MakeTab = ({ name, live }) => {
  const body = make('tbody')
  const says = make('p', { class: 'says', attributes: { role: 'status' } })
  const input = make('input', { attributes: { 'aria-label': 'Name', required: '' } })
  const about = { 'aria-label': 'Description', placeholder: 'Description', maxlength: '4096' }
  const description = make('input', { attributes: about })
  input.value = freshName()
  const read = async (): Promise<void> => {
    try {
      const path = machinePath(name, 'snapshots')
      const { snapshots } = await api<{ snapshots: readonly Snapshot[] }>('GET', path)
      body.replaceChildren(...snapshots.map((each) => rowOf(name, each, () => void read())))
      setText(says, snapshots.length === 0 ? 'No snapshot is kept.' : '')
    } catch (error) {
      setText(says, (error as Error).message)
    }
  }
  const button = make('button', { class: 'primary', text: 'Save snapshot' })
  const save = async (): Promise<void> => {
    button.disabled = true
    const text = description.value
    const asked = { name: input.value, ...(text && { description: text }) }
    const isDone = await attempt(() => api('POST', machinePath(name, 'snapshots'), asked))
    if (isDone) input.value = freshName()
    button.disabled = false
    await read()
  }
  button.addEventListener('click', () => void save())
  const titles = ['Name', 'Made', 'Size', 'State', 'Description', 'Actions'].map((text) =>
    make('th', { text, attributes: { scope: 'col' } }),
  )
  const head = make('thead', {}, make('tr', {}, ...titles))
  const bar = make('div', { class: 'bar' }, input, description, button)
  const table = make('div', { class: 'wide' }, make('table', {}, head, body))
  const element = make('div', { class: 'snapshots' }, bar, says, table)
  const heard = (): void => {
    if (live.events.at(-1)?.machine === name) void read()
  }
  live.addEventListener('events', heard)
  void read()
  const update = (machine: Machine): void => {
    button.disabled = !isAlive(machine)
  }
  return { element, update, stop: () => live.removeEventListener('events', heard) }
}
