import type { Machine } from '../api.ts'
import { openDefine } from '../define.ts'
import { make, setText, timeText } from '../dom.ts'
import type { MakeTab } from './tab.ts'

function facts({ uuid, pid, startedAt, autostart, saved, exitCode, reason }: Machine): string[][] {
  return [
    ['UUID', uuid],
    ['Process', pid === undefined ? '–' : String(pid)],
    ['Started', startedAt === undefined ? '–' : timeText(startedAt)],
    ['Starts with the daemon', autostart ? 'yes' : 'no'],
    ['Saved state', saved ? 'yes: the next start goes on there' : 'no'],
    ['Ended because', [reason ?? '–', exitCode ?? ''].join(' ').trim()],
  ]
}

/** What the machine is made of. */
export const definitionTab: MakeTab = ({ live }) => {
  const list = make('dl')
  const json = make('pre', { attributes: { tabindex: '0', 'aria-label': 'Definition' } })
  let shown: Machine | undefined
  const edit = (): void =>
    openDefine(() => live.lookSoon(), shown && JSON.stringify(shown.definition, undefined, 2))
  const button = make('button', { text: 'Edit…', click: edit })
  const element = make('div', { class: 'definition' }, list, make('div', {}, button), json)
  const update = (machine: Machine): void => {
    shown = machine
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
