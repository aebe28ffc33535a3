// The page of the web screen in Chromium: what is seen of it, and what it says and asks for.
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

import type { ExecutionContext } from 'ava'

import { findChromium, Page } from '../../../../__test__/fixtures/viewers/chromium.ts'
import { kvmTest } from '../../../../__test__/helpers/kvm.ts'

const chromium = findChromium()
const pictures = join(import.meta.dirname, '../../../../.cache/web-pictures')

const documents = join(import.meta.dirname, '../../../../docs/pictures')
/** What docs/manager.md shows. */
const documented: ReadonlySet<string> = new Set(['exits', 'screen', 'crashed', 'define'])

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
  static async open(t: ExecutionContext, url: string): Promise<Browser> {
    const page = await Page.open(chromium!, 'about:blank')
    t.teardown(() => page[Symbol.dispose]())
    const browser = new Browser(page)
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
    for (let tries = 0; tries < 600; tries++) {
      if (await this.page.evaluate(`Boolean(${expression})`)) return
      await sleep(50)
    }
    t.fail(`${expression}: ${String(await this.page.evaluate('document.body.innerText'))}`)
  }

  /** Presses the button with this text. */
  async click(t: ExecutionContext, text: string): Promise<void> {
    const find = `[...document.querySelectorAll('button')].find((each) =>
      !each.hidden && !each.disabled && each.textContent === ${JSON.stringify(text)})`
    await this.until(t, find)
    await this.page.evaluate(`${find}.click()`)
  }

  async type(text: string): Promise<void> {
    for (const key of text) await this.page.press(key, '', key.toUpperCase().charCodeAt(0))
  }

  async picture(name: string, folder = pictures): Promise<void> {
    const { data } = await this.page.send('Page.captureScreenshot', {})
    mkdirSync(folder, { recursive: true })
    writeFileSync(join(folder, `${name}.png`), Buffer.from(String(data), 'base64'))
  }

  /** At both widths and in both themes; `npm run pictures` makes those of the documents, too. */
  async pictures(name: string): Promise<void> {
    for (const theme of ['light', 'dark'])
      for (const width of [1920, 390]) {
        await this.size(width, width === 390 ? 844 : 1080, theme)
        await sleep(400)
        await this.picture(`${name}-${width}-${theme}`)
      }
    if (process.env['VMEXIT_PICTURES'] && documented.has(name)) {
      await this.size(1200, 640, 'light', 0.75)
      await sleep(400)
      await this.picture(`web-${name}`, documents)
    }
    await this.size(1920, 1080, 'light')
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

/** The key that leads out of a terminal. */
export const leave = { key: 'F6', code: 'F6', windowsVirtualKeyCode: 117 }
/** An expression for the state of a machine in the list. */
export const state = (name: string): string =>
  `document.querySelector('a.row[href="#/${name}"]')?.closest('li').dataset.state`
/** An expression for the text of an element. */
export const text = (selector: string): string =>
  `document.querySelector('${selector}')?.textContent`

/** A test that needs Chromium and `/dev/kvm`. */
export const browserTest = (title: string, body: (t: ExecutionContext) => Promise<void>): void =>
  kvmTest(chromium ? title : `${title}: no Chromium`, chromium ? body : (t) => void t.pass())
