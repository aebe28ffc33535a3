// Ways through the site: its sections, the pages of the section that one is in, and the ones before and after.
import { JSX } from 'typedoc'
import { isDocument, pathOf, placeOf, sectionsOf } from './documents.mjs'
import { grouped, notedGroup } from './groups.mjs'

const h = JSX.createElement

/** The section that a page is in. */
function sectionOf({ url, model }) {
  if (url === 'index.html') return undefined
  return isDocument(model) ? sectionOfDocument(model) : 'Reference'
}

export function sectionOfDocument(document) {
  const [, folder] = /^docs\/(guide|cookbook)\//.exec(pathOf(document)) ?? []
  return { guide: 'Guide', cookbook: 'Cookbook' }[folder] ?? 'Pages'
}

/** Links to the sections, each to its first page. */
export function sections(context, page) {
  const current = sectionOf(page)
  const link = (name, href) =>
    h('li', null, h('a', { href, 'aria-current': name === current ? 'true' : undefined }, name))
  const first = Object.entries(sectionsOf(page.project)).filter(([, pages]) => pages.length > 0)
  return h(
    'ul',
    null,
    first.map(([name, [index]]) => link(name, urlTo(context, page, index))),
    link('Reference', context.relativeURL('reference.html')),
  )
}

/** The address of a page from another; that of the front page counts from the root. */
export const urlTo = (context, page, target) =>
  page.model.isProject()
    ? context.relativeURL(context.router.getFullUrl(target))
    : here(context, target)

/** The page itself too, without which a link to it would be empty. */
const here = (context, target) => context.urlTo(target) || '#content'

export function navigation(context, page) {
  const section = sectionOf(page)
  const pages = sectionsOf(page.project)[section]
  return h(
    'nav',
    { id: 'navigation', 'aria-label': section },
    // On a phone, whose bar has no room for them.
    h('div', { class: 'sections' }, sections(context, page)),
    pages ? documents(context, page, pages) : symbols(context, page),
  )
}

const link = (context, page, target, text = target.name) =>
  h(
    'li',
    null,
    h(
      'a',
      {
        href: urlTo(context, page, target),
        'aria-current': page.model === target ? 'page' : undefined,
      },
      text,
    ),
  )

function documents(context, page, pages) {
  const parts = sectionOf(page) === 'Pages' ? ['Using', 'Inside'] : [undefined]
  return parts.map((part) => [
    part && h('p', null, part),
    h(
      'ul',
      null,
      pages
        .filter((each) => part === undefined || placeOf(each) === part)
        .map((each) => link(context, page, each)),
    ),
  ])
}

/** All groups, with the symbols of the one that the page is in. */
function symbols(context, page) {
  const current = notedGroup(page.model)
  return h(
    'ul',
    { class: 'groups' },
    grouped(page.project).map(({ name, members }) =>
      h(
        'li',
        null,
        h('a', { href: `${context.relativeURL('reference.html')}#${name.toLowerCase()}` }, name),
        name === current &&
          h(
            'ul',
            null,
            members.map((each) => link(context, page, each)),
          ),
      ),
    ),
  )
}

/** To the page before and to the one after, in the order of the navigation. */
export function walk(context, page) {
  const pages = sectionsOf(page.project)[sectionOf(page)]
  const index = pages.indexOf(page.model)
  const [before, after] = [pages[index - 1], pages[index + 1]]
  if (index < 0) return undefined
  return h(
    'nav',
    { class: 'walk', 'aria-label': 'Before and after' },
    before && h('a', { href: context.urlTo(before), rel: 'prev' }, `← ${before.name}`),
    after && h('a', { href: context.urlTo(after), rel: 'next' }, `${after.name} →`),
  )
}
