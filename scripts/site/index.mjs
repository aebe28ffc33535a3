// What the search looks through: the sections of every document and the symbols of the reference with their members.
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { HeadingSlugger } from './router.mjs'
import { notedGroup, symbolsOf } from './groups.mjs'
import { sectionOfDocument } from './navigation.mjs'

/** Writes the index as a script, which a page that was opened from a file can load too. */
export function writeIndex(project, router, folder) {
  const entries = [
    ...(project.documents ?? []).flatMap((each) => sections(each, router.getFullUrl(each))),
    ...symbolsOf(project).flatMap((each) => symbol(each, router)),
  ]
  writeFileSync(
    join(folder, 'assets/index.js'),
    `window.searchIndex = ${JSON.stringify(entries)}\n`,
  )
}

/** A title, where it stands, its address from the root, and the words below it. */
const entry = (title, place, url, text) => ({
  title,
  place,
  url,
  text: text.replaceAll(/\s+/g, ' ').trim(),
})

/** One entry for each heading. */
function sections(document, url) {
  const slugger = new HeadingSlugger({ lowercase: true })
  const place = `${sectionOfDocument(document)} › ${document.name}`
  const found = []
  let isCode = false
  for (const line of document.content
    .map(({ text }) => text)
    .join('')
    .split('\n')) {
    if (line.startsWith('```')) isCode = !isCode
    const [, marks, title] = (!isCode && /^(#{1,6}) (.*)$/.exec(line)) || []
    if (marks === undefined) found.at(-1)?.lines.push(line)
    else {
      const plain = title.replaceAll(/`|\*|\[|\]\([^)]*\)/g, '')
      const anchor = slugger.slug(plain)
      const isPage = marks === '#'
      found.push({
        title: isPage ? document.name : plain,
        place: isPage ? sectionOfDocument(document) : place,
        url: isPage ? url : `${url}#${anchor}`,
        lines: [],
      })
    }
  }
  return found.map(({ lines, ...rest }) =>
    entry(rest.title, rest.place, rest.url, plainText(lines.join('\n'))),
  )
}

/** Without what only forms the text. */
const plainText = (markdown) =>
  markdown
    .replaceAll(/^```.*$|<!--.*?-->|^\|[ |:-]+\|$/gm, ' ')
    .replaceAll(/!?\[([^\]]*)\]\([^)]*\)/g, '$1')
    .replaceAll(/[`*|]/g, '')

/** A symbol and its members. */
function symbol(reflection, router) {
  const place = `Reference › ${notedGroup(reflection)}`
  const members = (reflection.children ?? []).filter((each) => router.hasUrl(each))
  return [
    entry(reflection.name, place, router.getFullUrl(reflection), commentOf(reflection)),
    ...members.map((each) =>
      entry(`${reflection.name}.${each.name}`, place, router.getFullUrl(each), commentOf(each)),
    ),
  ]
}

/** What the comments of a symbol say, those of its signatures too, without examples. */
const commentOf = (reflection) =>
  [reflection, ...(reflection.signatures ?? []), reflection.getSignature]
    .flatMap((each) => each?.comment?.summary ?? [])
    .map(({ text }) => text)
    .join('')
    .replaceAll('`', '')
