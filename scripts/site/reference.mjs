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
    h(
      'h1',
      null,
      h('span', null, `${ReflectionKind.singularString(model.kind)} `),
      model.name,
    ),
    !isModule &&
      h(
        'p',
        { class: 'import' },
        h('code', null, `${word} { ${model.name} } from '${model.parent.name}'`),
      ),
  )
}
