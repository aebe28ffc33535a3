// The pages of the reference: its groups, and the head of a symbol's page.
import { JSX, ReflectionKind } from 'typedoc'
import { isDocument } from './documents.mjs'
import { grouped, notedGroup } from './groups.mjs'
import { urlTo } from './navigation.mjs'

const h = JSX.createElement

/** Kinds that are values, and so are imported without `type`. */
const VALUES = ReflectionKind.Class | ReflectionKind.Function | ReflectionKind.Variable

const heading = (page, level, text, id) => {
  page.pageHeadings.push({ link: `#${id}`, text, level })
  return h(`h${level}`, { id }, text)
}

/** All groups with their symbols, each with its first sentence. */
export function reference(context, page) {
  const modules = page.project.children.filter((each) => each.kindOf(ReflectionKind.Module))
  return h(
    'div',
    { class: 'reference' },
    h('h1', null, 'Reference'),
    grouped(page.project).map(({ name, summary, members }) => [
      heading(page, 2, name, name.toLowerCase()),
      h('p', null, summary, '.'),
      list(context, page, members),
    ]),
    heading(page, 2, 'Modules', 'modules'),
    list(context, page, modules),
  )
}

const list = (context, page, members) =>
  h(
    'dl',
    null,
    members.map((each) => [
      h('dt', null, h('a', { href: urlTo(context, page, each) }, h('code', null, each.name))),
      h('dd', null, context.commentShortSummary(each)),
    ]),
  )

/** Where a symbol stands and how it is imported, above its name; a document brings its own heading. */
export function symbolHeader(context, page) {
  const { model } = page
  if (model.isProject() || isDocument(model)) return undefined
  const group = notedGroup(model)
  const isModule = model.kindOf(ReflectionKind.Module)
  const word = model.kindOf(VALUES) ? 'import' : 'import type'
  return h(
    'div',
    { class: 'symbol' },
    h(
      'p',
      { class: 'path' },
      h('a', { href: context.relativeURL('reference.html') }, 'Reference'),
      group && [
        ' › ',
        h('a', { href: `${context.relativeURL('reference.html')}#${group.toLowerCase()}` }, group),
      ],
    ),
    h('h1', null, h('span', null, `${ReflectionKind.singularString(model.kind)} `), model.name),
    !isModule &&
      h(
        'p',
        { class: 'import' },
        h('code', null, `${word} { ${model.name} } from '${model.parent.name}'`),
      ),
  )
}

/** What a symbol has, by kind. TypeDoc folds each kind, with links in what one presses to fold it. */
export function memberSections(context, { groups = [] }) {
  return groups.map(({ title, children }) => {
    const own = children.filter((child) => !context.router.hasOwnDocument(child))
    if (own.length === 0) return undefined
    context.page.startNewSection(title)
    return h(
      'section',
      { class: 'members' },
      h('h2', { id: context.slugger.slug(title) }, title),
      own.map((child) => context.member(child)),
    )
  })
}

/** A module: what it is, and its symbols by group. */
export function modulePage(context, model) {
  const { page } = context
  const of = grouped(page.project).map(({ name, members: all }) => ({
    name,
    own: all.filter((each) => each.parent === model),
  }))
  return h(
    'div',
    { class: 'reference' },
    context.commentSummary(model),
    of
      .filter(({ own }) => own.length > 0)
      .map(({ name, own }) => [
        heading(page, 2, name, name.toLowerCase()),
        list(context, page, own),
      ]),
  )
}
