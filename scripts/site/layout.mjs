// A page: header with search, navigation, content, and what is on the page.
import { JSX } from 'typedoc'
import { isDocument } from './documents.mjs'
import { navigation, sections, walk } from './navigation.mjs'

const h = JSX.createElement

/** Before anything is drawn, so that no page flashes in the other theme. */
const THEME = `try { document.documentElement.dataset.theme = localStorage.getItem('theme') ?? 'os' }
catch {}`

/** By the value of the choice. */
const THEMES = { os: 'System', light: 'Light', dark: 'Dark' }

export function layout(context, template, page) {
  // First, as headings are noted while it is made.
  const content = template(page)
  const isFront = page.url === 'index.html'
  return h(
    'html',
    { class: 'default', lang: 'en', 'data-base': context.relativeURL('./') },
    head(context, page),
    h(
      'body',
      { class: isFront ? 'front' : undefined },
      h('script', null, h(JSX.Raw, { html: THEME })),
      h('a', { class: 'skip', href: '#content' }, 'Skip to content'),
      header(context, page),
      h(
        'div',
        { class: 'columns' },
        !isFront && navigation(context, page),
        h(
          'main',
          { id: 'content', tabIndex: -1 },
          !isFront && context.header(page),
          content,
          isDocument(page.model) && walk(context, page),
        ),
        !isFront && onThisPage(page),
      ),
      footer(),
    ),
  )
}

function head(context, page) {
  const asset = (name) => context.relativeURL(`assets/${name}`)
  const isFront = page.url === 'index.html'
  const { name } = page.model
  const title = isFront ? 'vmexit' : `${page.model.isProject() ? 'Reference' : name} · vmexit`
  const sheets = ['style.css', 'highlight.css', 'custom.css']
  return h(
    'head',
    null,
    h('meta', { charset: 'utf-8' }),
    h('title', null, title),
    h('meta', { name: 'description', content: `${title}: KVM virtual machines in TypeScript` }),
    h('meta', { name: 'viewport', content: 'width=device-width, initial-scale=1' }),
    h('link', { rel: 'icon', href: 'data:,' }),
    sheets.map((sheet) => h('link', { rel: 'stylesheet', href: asset(sheet) })),
    h('script', { defer: true, src: asset('custom.js') }),
  )
}

function header(context, page) {
  return h(
    'header',
    { class: 'top' },
    page.url !== 'index.html' &&
      h(
        'button',
        { id: 'menu', type: 'button', 'aria-expanded': 'false', 'aria-controls': 'navigation' },
        'Menu',
      ),
    h('a', { class: 'brand', href: context.relativeURL('index.html') }, 'vmexit'),
    h('nav', { class: 'sections', 'aria-label': 'Sections' }, sections(context, page)),
    h(
      'button',
      { id: 'find', type: 'button', 'aria-haspopup': 'dialog' },
      h('span', null, 'Search'),
      h('kbd', { 'aria-hidden': 'true' }, '/'),
    ),
    h(
      'select',
      { id: 'theme', 'aria-label': 'Theme' },
      Object.entries(THEMES).map(([value, text]) => h('option', { value }, text)),
    ),
    search(),
  )
}

const search = () =>
  h(
    'dialog',
    { id: 'search', 'aria-label': 'Search' },
    h('input', {
      type: 'search',
      'aria-label': 'Search in guide, recipes, pages and reference',
      'aria-controls': 'results',
      spellcheck: false,
      autocapitalize: 'off',
      autocomplete: 'off',
      placeholder: 'Guide, recipes, symbols',
      maxLength: 100,
    }),
    h('p', { class: 'says', role: 'status' }),
    h('ul', { id: 'results' }),
  )

/** The headings of a page, those of two levels. */
function onThisPage({ pageSections }) {
  const lines = pageSections.flatMap(({ title, headings }) => [
    ...(title ? [h('li', { class: 'part' }, title)] : []),
    ...headings
      .filter(({ level = 2 }) => level === 2 || level === 3)
      .map(({ link, text, level }) =>
        h('li', { class: level === 3 ? 'deep' : undefined }, h('a', { href: link }, text)),
      ),
  ])
  if (lines.length === 0) return undefined
  return h(
    'nav',
    { class: 'here', 'aria-labelledby': 'here' },
    h('p', { id: 'here' }, 'On this page'),
    h('ul', null, lines),
  )
}

const footer = () => h('footer', null, h('p', null, 'vmexit, MIT or Apache-2.0 · made by TypeDoc'))
