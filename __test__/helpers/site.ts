// The site as `npm run docs` makes it, and what its pages link to.
import { execFile } from 'node:child_process'
import { mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, posix } from 'node:path'
import { promisify } from 'node:util'

/** One line of the index that the search looks through. */
interface Entry {
  title: string
  place: string
  url: string
  text: string
}

/** A page: its path in the site, its text, its anchors, and the addresses in it. */
export interface SitePage {
  path: string
  html: string
  anchors: ReadonlySet<string>
  /** What a reader may follow. */
  links: readonly string[]
  /** What a browser loads without being asked. */
  loads: readonly string[]
}

export interface Site extends Disposable {
  /** What is wrong with the sources. */
  said: string
  folder: string
  /** Every file, by path. */
  files: ReadonlySet<string>
  pages: readonly SitePage[]
  index: readonly Entry[]
}

const execute = promisify(execFile)

/** Makes the site in a folder of its own. */
export async function makeSite(): Promise<Site> {
  const folder = mkdtempSync(join(tmpdir(), 'vmexit-site-'))
  const main = join(import.meta.dirname, '../../scripts/site/main.mjs')
  const said = await execute(process.execPath, [main, folder]).then(
    () => '',
    ({ stderr, stdout }) => String(stderr) || String(stdout),
  )
  const files = readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => posix.relative(folder, join(entry.parentPath, entry.name)))
  const pages = files
    .filter((path) => path.endsWith('.html'))
    .map((path) => pageOf(path, readFileSync(join(folder, path), 'utf8')))
  const script = readFileSync(join(folder, 'assets/index.js'), 'utf8')
  const index = JSON.parse(script.slice(script.indexOf('['))) as Entry[]
  const dispose = (): void => rmSync(folder, { recursive: true })
  return { said, folder, files: new Set(files), pages, index, [Symbol.dispose]: dispose }
}

const attributes = (html: string, pattern: RegExp): string[] =>
  [...html.matchAll(pattern)].map(([, value = '']) => value.replaceAll('&amp;', '&'))

/** A page by its text. Code that is shown has its brackets escaped, so it is no element. */
export function pageOf(path: string, html: string): SitePage {
  return {
    path,
    html,
    anchors: new Set(attributes(html, /<[^>]*\sid="([^"]*)"/g)),
    links: attributes(html, /<a\s[^>]*?href="([^"]*)"/g),
    loads: [
      ...attributes(html, /<(?:link)\s[^>]*?href="([^"]*)"/g),
      ...attributes(html, /<[^>]*\s(?:src|srcset|data|poster|action)="([^"]*)"/g),
    ],
  }
}

const isOutside = (address: string): boolean => /^([a-z][a-z0-9+.-]*:|\/)/i.test(address)

/** Links of pages that lead to nothing, one line each; addresses outside are let be. */
export function brokenLinks(pages: readonly SitePage[], files: ReadonlySet<string>): string[] {
  const anchors = new Map(pages.map((page) => [page.path, page.anchors]))
  return pages.flatMap(({ path, links, loads }) =>
    [...links, ...loads]
      .filter((link) => !isOutside(link))
      .filter((link) => {
        const [file = '', anchor] = link.split('#')
        const target = file === '' ? path : posix.join(dirname(path), decodeURI(file))
        if (!files.has(target)) return true
        return anchor !== undefined && !anchors.get(target)?.has(decodeURIComponent(anchor))
      })
      .map((link) => `${path}: ${link}`),
  )
}

/** What pages load from elsewhere, one line each. */
export function outsideLoads(pages: readonly SitePage[]): string[] {
  return pages.flatMap(({ path, loads }) =>
    loads
      .filter((address) => isOutside(address) && !address.startsWith('data:'))
      .map((address) => `${path}: ${address}`),
  )
}
