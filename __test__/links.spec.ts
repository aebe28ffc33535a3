// The links of documents lead to files and to headings; files named in comments and messages exist.
import { existsSync } from 'node:fs'

import test from 'ava'

import { repositoryFiles } from './helpers/architecture/files.ts'
import { anchorsOf, brokenLinks, linksOf } from './helpers/documents/links.ts'

const files = repositoryFiles()
const documents = files.filter(({ path }) => path.endsWith('.md'))

for (const document of documents) {
  test(`the links of ${document.path} lead to files and headings`, (t) => {
    t.deepEqual(brokenLinks(document, files, existsSync), [])
  })
}

test('every page of docs/ is reached from README.md', (t) => {
  const reached = new Set<string>()
  const follow = (path: string): void => {
    const document = documents.find((file) => file.path === path)
    if (!document || reached.has(path)) return
    reached.add(path)
    for (const link of linksOf(document)) follow(link.path)
  }
  follow('README.md')
  const pages = documents.map(({ path }) => path).filter((path) => path.startsWith('docs/'))
  t.deepEqual(
    pages.filter((path) => !reached.has(path)),
    [],
  )
})

test('pages that code and comments name are there, with their headings', (t) => {
  const code = files.filter(({ path }) => /^(?!.*__test__).*\.(rs|ts|mjs|cjs|c|h)$/.test(path))
  const named = code.flatMap(({ path, text }) =>
    [...text.matchAll(/(?<![\w/.])(docs\/[\w/-]+\.md)(?:#([\w-]+))?/g)].map(
      ([, page = '', anchor]) => ({ path, page, anchor }),
    ),
  )
  t.true(named.length > 5)
  const wrong = named.filter(({ page, anchor }) => {
    const document = documents.find((file) => file.path === page)
    return !document || (anchor !== undefined && !anchorsOf(document.text).has(anchor))
  })
  t.deepEqual(wrong, [])
})

test('anchors are those of headings, and a link to nowhere is found', (t) => {
  const text = [
    '# One: `two`, *three*',
    '## One-two_x!',
    '## [Link](a.md) é',
    '# One: two, three',
    '```sh',
    '# no heading',
    '```',
    '<a id="own"></a>',
  ].join('\n')
  t.deepEqual(
    [...anchorsOf(text)],
    ['one-two-three', 'one-two_x', 'link-é', 'one-two-three-1', 'own'],
  )
  const a = { path: 'docs/a.md', text: '# Here\n[x](b.md#there) [y](#here)\n`[z](z.md)`' }
  const b = { path: 'docs/b.md', text: '# There\n[x](a.md#there)\n[y](#nowhere)\n[z]: c.md' }
  const exists = (path: string): boolean => ['docs/a.md', 'docs/b.md'].includes(path)
  t.deepEqual(brokenLinks(a, [a, b], exists), [])
  const own = 'https://github.com/vmexit/vmexit/blob/main/docs/'
  const c = { path: 'packages/c.md', text: `[x](${own}a.md#here) [y](${own}d.md) [z](https://d.d)` }
  t.deepEqual(brokenLinks(c, [a, b], exists), ['packages/c.md:1: docs/d.md is not there'])
  t.deepEqual(brokenLinks(b, [a, b], exists), [
    'docs/b.md:2: docs/a.md has no heading #there',
    'docs/b.md:3: docs/b.md has no heading #nowhere',
    'docs/b.md:4: docs/c.md is not there',
  ])
})
