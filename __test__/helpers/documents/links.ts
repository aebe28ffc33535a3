// Links of Markdown, and the headings that they lead to.
import { dirname, join } from 'node:path'

import type { SourceFile } from '../architecture/files.ts'
import { proseOf } from './text.ts'

/** A link within the repository. */
interface Link {
  line: number
  /** From the root; the document's own without one. */
  path: string
  anchor: string | undefined
}

/** What a heading's anchor is called, as GitHub and the site do. */
function slug(heading: string): string {
  const shown = heading
    .replaceAll(/\[([^\]]*)\]\([^)]*\)/g, '$1')
    .trim()
    .toLowerCase()
  return shown.replaceAll(/[^\p{L}\p{M}\p{N}\p{Pc} -]/gu, '').replaceAll(' ', '-')
}

/** The anchors of a document: its headings, a number added to those that repeat, and `<a id>`. */
export function anchorsOf(text: string): Set<string> {
  const anchors = new Set<string>()
  for (const [, heading = ''] of proseOf(text).matchAll(/^#{1,6} +(.*)$/gm)) {
    const name = slug(heading)
    const names = Array.from({ length: anchors.size + 1 }, (_, n) => (n ? `${name}-${n}` : name))
    anchors.add(names.find((each) => !anchors.has(each))!)
  }
  for (const [, id = ''] of text.matchAll(/<a (?:id|name)="([^"]+)"/g)) anchors.add(id)
  return anchors
}

/** The repository on the web, to which packages' own pages lead. */
const OWN = 'https://github.com/vmexit/vmexit/blob/main/'

/** Links to other places of the repository. Code between backquotes has none. */
export function linksOf({ path, text }: SourceFile): Link[] {
  const prose = proseOf(text).replaceAll(/`[^`\n]*`/g, (code) => ' '.repeat(code.length))
  return [...prose.matchAll(/\]\(([^)\s]*)\)|^\[[^\]]+\]: *(\S+)/gm)].flatMap((match) => {
    const target = match[1] ?? match[2] ?? ''
    const isOwn = target.startsWith(OWN)
    if (!isOwn && /^[a-z]+:/.test(target)) return []
    const [file = '', anchor] = target.replace(OWN, '').split('#')
    const line = prose.slice(0, match.index).split('\n').length
    const folder = isOwn ? '.' : dirname(path)
    return [{ line, path: file === '' ? path : join(folder, decodeURI(file)), anchor }]
  })
}

/** Links of a document that lead nowhere. */
export function brokenLinks(
  document: SourceFile,
  files: readonly SourceFile[],
  exists: (path: string) => boolean,
): string[] {
  return linksOf(document).flatMap(({ line, path, anchor }) => {
    const place = `${document.path}:${line}: ${path}`
    if (!exists(path)) return [`${place} is not there`]
    if (anchor === undefined) return []
    const target = files.find((file) => file.path === path)
    if (!target?.path.endsWith('.md')) return [`${place} has no headings`]
    return anchorsOf(target.text).has(anchor) ? [] : [`${place} has no heading #${anchor}`]
  })
}
