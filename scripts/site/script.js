// The theme, the menu on a phone, copies of code, and the search.
const each = (selector) => document.querySelectorAll(selector)

const theme = document.getElementById('theme')
theme.value = document.documentElement.dataset.theme ?? 'os'
theme.addEventListener('change', () => {
  document.documentElement.dataset.theme = theme.value
  localStorage.setItem('theme', theme.value)
})

const menu = document.getElementById('menu')
const navigation = document.getElementById('navigation')
const isOpen = () => menu?.getAttribute('aria-expanded') === 'true'

function setOpen(open) {
  menu.setAttribute('aria-expanded', String(open))
  document.body.classList.toggle('open', open)
}

menu?.addEventListener('click', () => {
  setOpen(!isOpen())
  if (isOpen()) navigation.querySelector('a').focus()
})
navigation?.addEventListener('click', ({ target }) => {
  // A link to this page leads to no other, which would close it.
  if (isOpen() && target.closest('a') !== null) setOpen(false)
})
navigation?.querySelector('[aria-current=page]')?.scrollIntoView({ block: 'nearest' })

/** What is wider than its place can be scrolled by keyboard, and nothing else takes a stop. */
function markScrolling() {
  for (const one of each('main pre, main .wide, main .tsd-signature'))
    if (one.scrollWidth > one.clientWidth) one.tabIndex = 0
    else one.removeAttribute('tabindex')
}

markScrolling()
window.addEventListener('resize', markScrolling)

for (const button of each('pre > button'))
  button.addEventListener('click', async () => {
    await navigator.clipboard.writeText(button.previousElementSibling.innerText.trim())
    button.textContent = 'Copied'
    setTimeout(() => (button.textContent = 'Copy'), 1500)
  })

const search = document.getElementById('search')
const input = search.querySelector('input')
const says = search.querySelector('.says')
const results = document.getElementById('results')
const { base } = document.documentElement.dataset
const MAX_RESULTS = 30

/** The index comes with the first search, as a script: a page opened from a file may load nothing else. */
let loading
const load = () =>
  (loading ??= new Promise((resolve, reject) => {
    const script = document.createElement('script')
    script.src = `${base}assets/index.js`
    script.addEventListener('load', () => resolve(window.searchIndex.map(lowered)))
    script.addEventListener('error', reject)
    document.head.append(script)
  }))

const lowered = (entry) => ({
  ...entry,
  // Of a member, without what it belongs to.
  name: entry.title.toLowerCase().replace(/^\w+\.(?=\S+$)/, ''),
  inTitle: entry.title.toLowerCase(),
  inPlace: entry.place.toLowerCase(),
  inText: entry.text.toLowerCase(),
})

/** How well an entry is what one word means; 0 for one that is not there. */
function scoreOf({ name, inTitle, inPlace, inText }, word) {
  const index = name.indexOf(word)
  if (name === word) return 100
  if (index === 0) return 60
  if (index > 0) return /\w/.test(name[index - 1]) ? 20 : 40
  if (inTitle.includes(word)) return 10
  if (inPlace.includes(word)) return 6
  const at = inText.indexOf(word)
  if (at < 0) return 0
  return at === 0 || !/\w/.test(inText[at - 1]) ? 4 : 1
}

function find(entries, words) {
  const scored = entries.map((entry) => {
    const scores = words.map((word) => scoreOf(entry, word))
    // The shorter of two titles is the more general.
    const sum = scores.reduce((total, score) => total + score, 0) - entry.title.length / 100
    return { entry, score: scores.includes(0) ? 0 : sum }
  })
  return scored.filter(({ score }) => score > 0).toSorted((a, b) => b.score - a.score)
}

/** Text with the words marked, in an element. */
function marked(name, text, words) {
  const element = document.createElement('span')
  element.className = name
  const pattern = words.map((word) => word.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&')).join('|')
  text.split(new RegExp(`(${pattern})`, 'i')).forEach((part, index) => {
    const isWord = index % 2 === 1
    const node = isWord ? document.createElement('mark') : document.createTextNode(part)
    if (isWord) node.textContent = part
    element.append(node)
  })
  return element
}

/** What stands around the first of the words. */
function around({ text, inText }, words) {
  const first = Math.min(...words.map((word) => inText.indexOf(word)).filter((at) => at >= 0))
  const from = Number.isFinite(first) ? Math.max(0, inText.lastIndexOf(' ', first - 50) + 1) : 0
  return (from > 0 ? '… ' : '') + text.slice(from, from + 160)
}

function row({ entry }, words) {
  const link = document.createElement('a')
  link.href = base + entry.url
  link.append(
    marked('title', entry.title, words),
    marked('place', entry.place, words),
    marked('text', around(entry, words), words),
  )
  const item = document.createElement('li')
  item.append(link)
  return item
}

async function show() {
  const words = input.value.toLowerCase().split(/\s+/).filter(Boolean)
  const entries = await load().catch(() => undefined)
  // Of another search meanwhile.
  if (words.join() !== input.value.toLowerCase().split(/\s+/).filter(Boolean).join()) return
  const found = entries === undefined || words.length === 0 ? [] : find(entries, words)
  results.replaceChildren(...found.slice(0, MAX_RESULTS).map((one) => row(one, words)))
  if (entries === undefined) says.textContent = 'The index cannot be loaded'
  else if (words.length === 0) says.textContent = ''
  else says.textContent = `${found.length} result${found.length === 1 ? '' : 's'}`
}

function openSearch() {
  if (search.open) return
  search.showModal()
  input.select()
  void show()
}

document.getElementById('find').addEventListener('click', openSearch)
input.addEventListener('input', show)
search.addEventListener('click', ({ target }) => {
  // Beside it, or a place on this page.
  if (target === search || target.closest('a')) search.close()
})
search.addEventListener('keydown', (event) => {
  const links = [...results.querySelectorAll('a')]
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key]
  if (event.key === 'Enter' && event.target === input) links[0]?.click()
  if (step === undefined || links.length === 0) return
  event.preventDefault()
  const index = links.indexOf(document.activeElement) + step
  if (index < 0) input.focus()
  else links[Math.min(index, links.length - 1)].focus()
})
document.addEventListener('keydown', (event) => {
  const isTyping = event.target.matches('input, select, textarea')
  if ((event.key === 'k' && (event.ctrlKey || event.metaKey)) || (event.key === '/' && !isTyping)) {
    event.preventDefault()
    openSearch()
  }
  if (event.key === 'Escape' && isOpen()) {
    setOpen(false)
    menu.focus()
  }
})
