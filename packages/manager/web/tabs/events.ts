import { make, timeText } from '../dom.ts'
import type { MakeTab } from './tab.ts'

const maxShown = 200

/** What happened to the machine, the newest first. */
export const eventsTab: MakeTab = ({ name, live }) => {
  const body = make('tbody')
  const titles = ['When', 'What', 'Why'].map((text) =>
    make('th', { text, attributes: { scope: 'col' } }),
  )
  const element = make('table', { class: 'events' }, make('thead', {}, make('tr', {}, ...titles)))
  element.append(body)
  const show = (): void => {
    const events = live.events.filter(({ machine }) => machine === name).slice(-maxShown)
    const rows = events
      .toReversed()
      .map(({ at, type, reason }) =>
        make(
          'tr',
          {},
          make('td', { text: timeText(at) }),
          make('td', { text: type }),
          make('td', { text: reason ?? '' }),
        ),
      )
    body.replaceChildren(...rows)
  }
  live.addEventListener('events', show)
  show()
  return { element, stop: () => live.removeEventListener('events', show) }
}
