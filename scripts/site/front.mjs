// The front page: what README.md says first, its first program, and the ways on.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { JSX } from 'typedoc'
import { root } from '../run.mjs'
import { sectionsOf } from './documents.mjs'
import { urlTo } from './navigation.mjs'

const h = JSX.createElement

const WAYS = {
  Guide: 'Twelve chapters, from one byte of machine code to a managed Linux. Every step runs.',
  Cookbook: 'Recipes of at most thirty lines, each a program that is tested.',
  Pages: 'One subject each: booting, devices, debugging, crashes, speed, security.',
}

/** The section of README.md with this heading. */
function section(text, heading) {
  const [, found] = new RegExp(`^## ${heading}\\n(.*?)(?=^## )`, 'ms').exec(text) ?? []
  if (found === undefined) throw new Error(`README.md has no "${heading}" for the front page`)
  return found
}

export function front(context, page) {
  const text = readFileSync(join(root, 'README.md'), 'utf8')
  const [, lead] = /^# .*?\n\n(.*?)\n\n/s.exec(text) ?? []
  const [program] = /^```ts\n.*?^```\n\n```text output\n.*?^```\n/ms.exec(
    section(text, 'A first program'),
  )
  const [install] = /^```sh\n.*?^```\n/ms.exec(section(text, 'Install'))
  const raw = (markdown) =>
    h(JSX.Raw, { html: context.markdown([{ kind: 'text', text: markdown }]) })
  const ways = Object.entries(sectionsOf(page.project))
    .filter(([, pages]) => pages.length > 0)
    .map(([name, [first]]) => [name, urlTo(context, page, first), WAYS[name]])
  const all = [
    ...ways,
    ['Reference', 'reference.html', 'Every symbol, by what it is about, with examples that run.'],
  ]
  return h(
    'div',
    { class: 'tsd-typography' },
    h('h1', null, 'vmexit'),
    h('div', { class: 'lead' }, raw(lead)),
    h(
      'ul',
      { class: 'ways' },
      all.map(([name, href, says]) =>
        h('li', null, h('a', { href }, h('strong', null, name)), h('span', null, says)),
      ),
    ),
    h('h2', null, 'Install'),
    raw(install),
    h('h2', null, 'A first program'),
    raw(program),
  )
}
