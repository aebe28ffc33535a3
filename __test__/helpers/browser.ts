// A page in Chromium: what is seen of it, and what it says and asks for.
import { createRequire } from 'node:module'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

import type { ExecutionContext } from 'ava'

import { findChromium, Page } from '../fixtures/viewers/chromium.ts'

export const chromium = findChromium()

/** It ends what hangs: a page that is busy answers late. */
const limitMs = 300_000

/** A page with what it said and asked for. */
export class Browser {
  readonly said: string[] = []
  readonly hosts = new Set<string>()
  readonly page: Page

  constructor(page: Page) {
    this.page = page
    page.onEvent = (method, params) => this.#hear(method, params)
  }

  /** Opens an address, listening from the beginning. */
  static async open<Kind extends Browser>(
    this: new (page: Page) => Kind,
    t: ExecutionContext,
    url: string,
  ): Promise<Kind> {
    const page = await Page.open(chromium!, 'about:blank')
    t.teardown(() => page[Symbol.dispose]())
    const browser = new this(page)
    for (const domain of ['Runtime', 'Log', 'Network', 'Page'])
      await page.send(`${domain}.enable`, {})
    await browser.size(1920, 1080, 'light')
    await page.send('Page.navigate', { url })
    return browser
  }

  async size(width: number, height: number, theme: string, scale = 1): Promise<void> {
    const metrics = { width, height, deviceScaleFactor: scale, mobile: false }
    await this.page.send('Emulation.setDeviceMetricsOverride', metrics)
    const features = [{ name: 'prefers-color-scheme', value: theme }]
    await this.page.send('Emulation.setEmulatedMedia', { features })
  }

  /** Waits until an expression is true. */
  async until(t: ExecutionContext, expression: string): Promise<void> {
    for (const end = performance.now() + limitMs; performance.now() < end;) {
      if (await this.page.evaluate(`Boolean(${expression})`)) return
      await sleep(50)
    }
    t.fail(`${expression}: ${String(await this.page.evaluate('document.body.innerText'))}`)
  }

  async type(text: string): Promise<void> {
    for (const key of text) await this.page.press(key, '', key.toUpperCase().charCodeAt(0))
  }

  /** Writes what is seen into a folder, as NAME.png. */
  async picture(name: string, folder: string): Promise<void> {
    const { data } = await this.page.send('Page.captureScreenshot', {})
    mkdirSync(folder, { recursive: true })
    writeFileSync(join(folder, `${name}.png`), Buffer.from(String(data), 'base64'))
  }

  #hear(method: string, params: Record<string, unknown>): void {
    if (method === 'Network.requestWillBeSent' || method === 'Network.webSocketCreated') {
      const { request, url = (request as { url: string }).url } = params as Record<string, unknown>
      this.hosts.add(new URL(String(url)).host)
    }
    const isWrong =
      method === 'Runtime.exceptionThrown' ||
      method === 'Log.entryAdded' ||
      method === 'Page.javascriptDialogOpening' ||
      method === 'Page.windowOpen' ||
      (method === 'Runtime.consoleAPICalled' && params['type'] === 'error')
    if (isWrong) this.said.push(JSON.stringify(params))
  }
}

// Its types are for programs in browsers.
const require = createRequire(import.meta.url)
/** The source of axe-core, to be evaluated in a page once. */
export const axe = (require('axe-core') as { readonly source: string }).source

const findings = (more: string): string =>
  `axe.run(document, { resultTypes: ['violations'] ${more} }).then(({ violations }) =>
    violations.map(({ id, help, nodes }) =>
      [id, help, ...nodes.slice(0, 3).map(({ html }) => html.slice(0, 200))].join(' | ')))`

/** What is wrong with what is shown, each with its elements. */
export const axeFindings = findings('')
/** The same of a page from a file, whose sheets cannot be read a second time. */
export const axeFileFindings = findings(', preload: false')
/** Of these what a theme may change. */
export const axeFileContrast = findings(`, preload: false, runOnly: ['color-contrast']`)
