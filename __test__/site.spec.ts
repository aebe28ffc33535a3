// The site of guide, cookbook, pages and reference: its links, its search, and how it looks and is
// used in a browser, from files as from a server.
import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'

import test, { type ExecutionContext } from 'ava'
import ts from 'typescript'

import { axe, axeContrast, axeFindings, Browser, chromium } from './helpers/browser.ts'
import { brokenLinks, makeSite, outsideLoads, pageOf, type Site } from './helpers/site.ts'

let site: Site
test.before('the site is made', async (t) => {
  t.timeout(600_000)
  site = await makeSite()
})
test.after.always(() => site?.[Symbol.dispose]())

const page = (path: string): string => pathToFileURL(join(site.folder, path)).href

/** One page of each kind. */
const kinds = {
  front: 'index.html',
  chapter: 'guide/03-first-exit.html',
  recipe: 'cookbook/devices.html',
  page: 'pages/native.html',
  'all of the reference': 'reference.html',
  symbol: 'reference/vmexit/VirtualMachine.html',
  module: 'reference/vmexit-process.html',
  file: 'files/examples.html',
} as const

test('the sources have no link that is wrong, and no symbol without words or group', (t) => {
  t.is(site.said, '')
})

test('every link of the site leads somewhere, and nothing is loaded from elsewhere', (t) => {
  t.true(site.pages.length > 250)
  t.deepEqual(brokenLinks(site.pages, site.files), [])
  t.deepEqual(outsideLoads(site.pages), [])
  for (const path of [...site.files].filter((each) => each.endsWith('.css')))
    t.notRegex(readFileSync(join(site.folder, path), 'utf8'), /@import|url\((?!"?data:)/, path)
  const script = readFileSync(join(site.folder, 'assets/custom.js'), 'utf8')
  t.notRegex(script, /https?:|fetch|import\(/)
})

test('a link that leads nowhere is found, and an address outside', (t) => {
  const made = pageOf(
    'a/b.html',
    '<a id="x" href="#x"></a><a href="c.html#y"><a class="z" href="../d.html"><img src="//e/f.png">',
  )
  const files = new Set(['a/b.html', 'a/c.html', 'd.html'])
  const pages = [made, pageOf('a/c.html', ''), pageOf('d.html', '')]
  t.deepEqual(brokenLinks(pages, files), ['a/b.html: c.html#y'])
  files.delete('d.html')
  t.deepEqual(brokenLinks(pages, files).at(-1), 'a/b.html: ../d.html')
  t.deepEqual(outsideLoads(pages), ['a/b.html: //e/f.png'])
})

test('a heading has the anchor that it has on a Git host', (t) => {
  const { anchors } = site.pages.find(({ path }) => path === 'pages/crashes.html')!
  const text = readFileSync('docs/crashes.md', 'utf8').replaceAll(/^```.*?^```$/gms, '')
  const headings = [...text.matchAll(/^## (.*)$/gm)].map(([, heading = '']) => heading)
  t.true(headings.length > 3)
  for (const heading of headings) {
    const anchor = heading
      .toLowerCase()
      .replaceAll(/[^\w -]/g, '')
      .replaceAll(' ', '-')
    t.true(anchors.has(anchor), heading)
  }
})

/** Names that an entry of a package exports. */
function exportsOf(entry: string): string[] {
  const options: ts.CompilerOptions = { module: ts.ModuleKind.NodeNext, noEmit: true }
  const program = ts.createProgram([entry], { ...options, allowImportingTsExtensions: true })
  const checker = program.getTypeChecker()
  const module = checker.getSymbolAtLocation(program.getSourceFile(entry)!)!
  return checker.getExportsOfModule(module).map(({ name }) => name)
}

test('every public symbol is in a group of the reference', (t) => {
  const { entryPoints } = JSON.parse(readFileSync('typedoc.json', 'utf8'))
  t.true(entryPoints.length >= 6)
  const { html } = site.pages.find(({ path }) => path === 'reference.html')!
  const [groups = ''] = html.split('id="modules"')
  const listed = new Set([...groups.matchAll(/<dt><a[^>]*><code>(\w+)</g)].map(([, name]) => name))
  for (const entry of entryPoints as string[])
    t.deepEqual(
      exportsOf(entry).filter((name) => !listed.has(name)),
      [],
      entry,
    )
  t.notRegex(groups, />Other</)
})

test('the search knows headings of every document, symbols and members', (t) => {
  const { index, pages } = site
  const links = index.map(({ url }) => url)
  t.deepEqual(
    brokenLinks([...pages, { ...pageOf('x.html', ''), links }], site.files).filter((line) =>
      line.startsWith('x.html'),
    ),
    [],
  )
  const places = new Set(index.map(({ place }) => place.split(' › ')[0]))
  t.true(places.has('Pages') && places.has('Reference'))
  for (const title of ['VirtualMachine', 'VirtualMachine.run', 'GuestFault', 'connect', 'fleet'])
    t.true(
      index.some((entry) => entry.title === title),
      title,
    )
  for (const { path } of pages.filter((each) => /^(guide|cookbook|pages)\//.test(each.path)))
    t.true(
      index.some(({ url, text }) => url.startsWith(path) && text.length > 20),
      path,
    )
})

const browserTest = (title: string, body: (t: ExecutionContext) => Promise<void>): void =>
  chromium ? test.serial(title, body) : test.skip(`${title}: no Chromium`, body)

/** Navigates, and waits until the page's own script has run. */
async function go(t: ExecutionContext, browser: Browser, path: string): Promise<void> {
  await browser.page.send('Page.navigate', { url: page(path) })
  await browser.until(t, `location.href === ${JSON.stringify(page(path))} && ${ready}`)
}

const ready = `document.readyState === 'complete'`
const searchFor = (words: string): string => `document.getElementById('find').click();
  document.querySelector('#search input').value = ${JSON.stringify(words)};
  document.querySelector('#search input').dispatchEvent(new Event('input')); true`

browserTest('axe finds nothing, on any kind of page and in the search', async (t) => {
  t.timeout(600_000)
  const browser = await Browser.open(t, page('index.html'))
  const found: string[] = []
  const look = async (what: string): Promise<void> => {
    for (const width of [390, 1280])
      for (const theme of ['light', 'dark']) {
        await browser.size(width, 844, theme)
        const looking = theme === 'light' ? axeFindings : axeContrast
        const all = (await browser.page.evaluate(looking)) as string[]
        found.push(...all.map((each) => `${what}, ${width} pixels, ${theme}: ${each}`))
      }
  }
  for (const [what, path] of Object.entries(kinds)) {
    await go(t, browser, path)
    await browser.page.evaluate(`${axe}; true`)
    await look(what)
  }
  await browser.page.evaluate(searchFor('memory'))
  await browser.until(t, `document.querySelectorAll('#results a').length > 10`)
  await look('search')
  t.deepEqual(found, [])
  t.deepEqual(browser.said, [])
  t.deepEqual([...browser.hosts], [''])
})

browserTest('no page is wider than a phone', async (t) => {
  t.timeout(600_000)
  const browser = await Browser.open(t, page('index.html'))
  await browser.size(390, 844, 'light')
  const wide: string[] = []
  // Those of symbols are alike.
  const some = site.pages.filter(({ path }, n) => !path.startsWith('reference/') || n % 8 === 0)
  for (const { path } of some) {
    await go(t, browser, path)
    const width = await browser.page.evaluate('document.documentElement.scrollWidth')
    if (Number(width) > 390) wide.push(`${path}: ${width}`)
  }
  t.deepEqual(wide, [])
})

browserTest('all is done by keyboard: the search, the menu, and the way to the text', async (t) => {
  const browser = await Browser.open(t, page('index.html'))
  const tab = (): Promise<void> => browser.page.press('Tab', 'Tab', 9)
  const enter = (): Promise<void> => browser.page.press('\r', 'Enter', 13)
  const focus = (selector: string): string => `document.activeElement?.matches('${selector}')`
  await go(t, browser, kinds.page)
  await tab()
  await browser.until(t, focus('.skip'))
  await enter()
  await browser.until(t, `location.hash === '#content'`)

  await browser.type('/')
  await browser.until(t, focus('#search input'))
  await browser.type('virtualmachine')
  await browser.until(
    t,
    `document.querySelector('#results a .title')?.textContent === 'VirtualMachine'`,
  )
  await browser.page.press('ArrowDown', 'ArrowDown', 40)
  await browser.until(t, focus('#results li:first-child a'))
  await enter()
  await browser.until(
    t,
    `location.href.endsWith('/reference/vmexit/VirtualMachine.html') && ${ready}`,
  )

  await browser.type('/')
  await browser.until(t, focus('#search input'))
  await browser.page.press('Escape', 'Escape', 27)
  await browser.until(t, `!document.querySelector('dialog[open]')`)

  await browser.size(390, 844, 'light')
  const isShown = `getComputedStyle(document.getElementById('navigation')).display === 'block'`
  t.false(await browser.page.evaluate(isShown))
  await browser.page.evaluate(`document.querySelector('.skip').focus()`)
  await tab()
  await browser.until(t, focus('#menu'))
  await enter()
  await browser.until(t, `${isShown} && ${focus('#navigation a')}`)
  await browser.page.press('Escape', 'Escape', 27)
  await browser.until(t, `!(${isShown}) && ${focus('#menu')}`)
  t.deepEqual(browser.said, [])
})

browserTest('a theme that is chosen stays, and every server can serve it', async (t) => {
  const server = createServer(({ url = '' }, response) => {
    const path = new URL(url, 'http://localhost').pathname.slice(1)
    if (!site.files.has(path)) return void response.writeHead(404).end()
    const type = { css: 'text/css', html: 'text/html', js: 'text/javascript' }[
      path.split('.').pop()!
    ]
    response.setHeader('content-type', type ?? 'application/octet-stream')
    response.end(readFileSync(join(site.folder, path)))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => server.close())
  const root = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const browser = await Browser.open(t, `${root}/${kinds.symbol}`)
  await browser.until(t, `${ready} && document.getElementById('theme')`)
  const colour = `getComputedStyle(document.body).backgroundColor`
  const light = await browser.page.evaluate(colour)
  await browser.page.evaluate(`theme.value = 'dark'; theme.dispatchEvent(new Event('change'))`)
  await browser.page.send('Page.navigate', { url: `${root}/index.html` })
  await browser.until(t, `location.pathname === '/index.html' && ${ready}`)
  t.not(await browser.page.evaluate(colour), light)
  await browser.page.evaluate(searchFor('snapshot'))
  await browser.until(t, `document.querySelectorAll('#results a').length > 10`)
  t.deepEqual(browser.said, [])
  t.deepEqual([...browser.hosts], [new URL(root).host])
})
