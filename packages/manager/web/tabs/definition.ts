import { attempt } from '../actions.ts'
import { api, type Machine, machinePath } from '../api.ts'
import { openDefine } from '../define.ts'
import { make, setText, timeText } from '../dom.ts'
import type { MakeTab } from './tab.ts'

function facts({ uuid, pid, startedAt, saved, exitCode, reason }: Machine): string[][] {
  return [
    ['UUID', uuid],
    ['Process', pid === undefined ? '–' : String(pid)],
    ['Started', startedAt === undefined ? '–' : timeText(startedAt)],
    ['Saved state', saved ? 'yes: the next start goes on there' : 'no'],
    ['Ended because', [reason ?? '–', exitCode ?? ''].join(' ').trim()],
  ]
}

/** What the machine is made of. */
export const definitionTab: MakeTab = ({ name, live }) => {
  const list = make('dl')
  const json = make('pre', { attributes: { tabindex: '0', 'aria-label': 'Definition' } })
  let shown: Machine | undefined
  const edit = (): void =>
    openDefine(() => live.lookSoon(), shown && JSON.stringify(shown.definition, undefined, 2))
  const button = make('button', { text: 'Edit…', click: edit })
  const box = make('input', { attributes: { type: 'checkbox', role: 'switch' } })
  const turn = async (): Promise<void> => {
    const asked = { autostart: box.checked }
    await attempt(() => api('PUT', machinePath(name, 'autostart'), asked))
    live.lookSoon()
  }
  box.addEventListener('change', () => void turn())
  const label = make('label', { class: 'switch' }, box, 'Starts with the daemon')
  const bar = make('div', { class: 'bar' }, button, label)
  const element = make('div', { class: 'definition' }, list, bar, json)
  const update = (machine: Machine): void => {
    shown = machine
    box.checked = machine.autostart
    list.replaceChildren(
      ...facts(machine).flatMap(([term, text]) => [
        make('dt', { text: term as string }),
        make('dd', { text: text as string }),
      ]),
    )
    setText(json, JSON.stringify(machine.definition, undefined, 2))
  }
  return { element, update }
}
