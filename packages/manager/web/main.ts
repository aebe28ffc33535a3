import { actByKey } from './actions.ts'
import { openDefine } from './define.ts'
import { byId, setText } from './dom.ts'
import { listenToKeys, openHelp } from './keys.ts'
import { List } from './list.ts'
import { Live } from './live.ts'
import { Stats } from './stats.ts'
import { View } from './view.ts'

const live = new Live()
const stats = new Stats(live)
const list = new List(live, stats)
let view: View | undefined

/** Shows what the address says: `#/NAME/TAB`. */
function route(): void {
  const [name, tab = 'Console'] = location.hash.slice(2).split('/').map(decoded)
  document.body.dataset['page'] = name ? 'machine' : 'list'
  list.select(name || undefined)
  if (view?.name !== name || !name) {
    view?.stop()
    const turn = (to: string): void => {
      location.hash = `/${encodeURIComponent(name as string)}/${to}`
    }
    view = name ? new View(live, stats, name, turn) : undefined
    document.title = name ? `${name} – vmexit` : 'vmexit'
  }
  view?.open(tab)
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

const themes = ['auto', 'light', 'dark'] as const
const themeKey = 'vmexit-theme'

/** What is drawn on a canvas is drawn anew. */
function tellTheme(): void {
  window.dispatchEvent(new Event('theme'))
}

function useTheme(theme: string): void {
  document.documentElement.dataset['theme'] = theme
  const button = byId('theme')
  setText(button.querySelector('span') ?? button, theme)
  button.setAttribute('aria-label', `Theme: ${theme}`)
  tellTheme()
}

function turnTheme(): void {
  const now = document.documentElement.dataset['theme']
  const next = themes[(themes.findIndex((each) => each === now) + 1) % themes.length] ?? 'auto'
  localStorage.setItem(themeKey, next)
  useTheme(next)
}

function define(): void {
  openDefine(() => live.lookSoon())
}

/** Keys are for the row that has the focus, or else for the machine that is open. */
async function press(key: string): Promise<void> {
  const machine = live.machines.get(list.focused ?? view?.name ?? '')
  if (!machine) return
  await actByKey(machine, key)
  live.lookSoon()
}

matchMedia('(prefers-color-scheme: dark)').addEventListener('change', tellTheme)
useTheme(localStorage.getItem(themeKey) ?? 'auto')
byId('theme').addEventListener('click', turnTheme)
byId('help').addEventListener('click', openHelp)
byId('define').addEventListener('click', define)
live.addEventListener('trouble', () => {
  const banner = byId('banner')
  banner.hidden = live.trouble === undefined
  setText(banner, live.trouble ?? '')
})
listenToKeys({
  move: (by) => list.move(by),
  search: () => byId('search').focus(),
  back: () => (location.hash = '/'),
  define,
  press: (key) => void press(key),
})
window.addEventListener('hashchange', route)
void live.start().then(route)
