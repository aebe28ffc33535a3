// The page of the web screen in Chromium.
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

import type { ExecutionContext } from 'ava'

import { Browser as AnyBrowser, chromium } from '../../../../__test__/helpers/browser.ts'
import { kvmTest } from '../../../../__test__/helpers/kvm.ts'

const shown = join(import.meta.dirname, '../../../../.cache/web-pictures')

const documents = join(import.meta.dirname, '../../../../docs/pictures')
/** What docs/manager.md shows. */
const documented: ReadonlySet<string> = new Set(['exits', 'screen', 'crashed', 'define'])

/** A page with what it said and asked for. */
export class Browser extends AnyBrowser {
  /** Presses the button with this text. */
  async click(t: ExecutionContext, text: string): Promise<void> {
    const find = `[...document.querySelectorAll('button')].find((each) =>
      !each.hidden && !each.disabled && each.textContent === ${JSON.stringify(text)})`
    await this.until(t, find)
    await this.page.evaluate(`${find}.click()`)
  }

  /** At both widths and in both themes; `npm run pictures` makes those of the documents, too. */
  async pictures(name: string): Promise<void> {
    for (const theme of ['light', 'dark'])
      for (const width of [1920, 390]) {
        await this.size(width, width === 390 ? 844 : 1080, theme)
        await sleep(400)
        await this.picture(`${name}-${width}-${theme}`, shown)
      }
    if (process.env['VMEXIT_PICTURES'] && documented.has(name)) {
      await this.size(1200, 640, 'light', 0.75)
      await sleep(400)
      await this.picture(`web-${name}`, documents)
    }
    await this.size(1920, 1080, 'light')
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
