// What axe-core finds in the page, at both widths and in both themes: nothing.
import { axe, axeFindings } from '../../../__test__/helpers/browser.ts'
import { Browser, browserTest, state, text } from './helpers/browser.ts'
import { HttpDaemon, echoing } from './helpers/http-daemon.ts'
import { losing, routed } from './helpers/shown-guests.ts'

/** Adds what there is, at each width and in each theme. */
async function look(all: string[], browser: Browser, what: string): Promise<void> {
  for (const theme of ['light', 'dark'])
    for (const width of [1920, 390]) {
      await browser.size(width, width === 390 ? 844 : 1080, theme)
      const found = (await browser.page.evaluate(axeFindings)) as string[]
      all.push(...found.map((each) => `${what}, ${width} pixels, ${theme}: ${each}`))
    }
  await browser.size(1920, 1080, 'light')
}

const isClosed = `!document.querySelector('dialog')`
const escape = (browser: Browser): Promise<void> => browser.page.press('Escape', 'Escape', 27)

browserTest('axe finds nothing in the list, in any tab and in any dialog', async (t) => {
  t.timeout(300_000)
  const daemon = await HttpDaemon.start(t, '0')
  const { client } = daemon
  for (const one of [echoing(daemon, 'echo'), losing(daemon, 'lost'), routed(daemon, 'routed')])
    await client.define(one as never)
  const browser = await Browser.open(t, daemon.web)
  const { page } = browser
  const found: string[] = []
  // By the protocol, which the page's content security policy does not concern.
  await browser.until(t, `${state('echo')} === 'defined'`)
  await page.evaluate(`${axe}; true`)
  for (const name of ['echo', 'lost', 'routed']) await client.start(name)
  await client.pause('routed')
  await browser.until(t, `${state('echo')} === 'running' && ${state('lost')} === 'crashed'`)
  await browser.until(t, `${state('routed')} === 'paused'`)
  await look(found, browser, 'list')

  await client.saveSnapshot('echo', 's', { description: 'why' })
  await page.evaluate(`location.hash = '#/echo'`)
  await browser.until(t, `${text('h2')} === 'echo'`)
  const ready: Readonly<Record<string, string>> = {
    Console: `${text('.says')}.startsWith('Connected')`,
    Screen: `document.querySelector('.screen canvas')`,
    Exits: `document.querySelector('.chart canvas') && document.querySelector('.bars td')`,
    Snapshots: `document.querySelector('.snapshots tbody tr')`,
    Definition: `document.querySelector('.definition pre')?.textContent`,
    Events: `document.querySelector('.events tbody tr')`,
    Log: `document.querySelector('.log pre')?.textContent`,
  }
  for (const [tab, isReady] of Object.entries(ready)) {
    await browser.click(t, tab)
    await browser.until(t, isReady)
    await look(found, browser, tab)
  }
  await browser.click(t, 'Snapshots')
  await browser.click(t, 'Restore')
  await look(found, browser, 'a question')
  await escape(browser)
  await browser.until(t, isClosed)
  await page.evaluate(`location.hash = '#/lost'`)
  await browser.until(t, `document.querySelector('.crash:not([hidden])')`)
  await look(found, browser, 'a crash')
  await page.evaluate(`location.hash = '#/routed/Exits'`)
  await browser.until(
    t,
    `document.querySelectorAll('.part:not([hidden]) .chart canvas').length === 2`,
  )
  await look(found, browser, 'two charts')

  await browser.click(t, '?')
  await look(found, browser, 'help')
  await escape(browser)
  await browser.until(t, isClosed)
  await browser.click(t, 'Define…')
  await browser.click(t, 'Define')
  await browser.until(t, `${text('.wrong')} !== ''`)
  await look(found, browser, 'define, with what is wrong')
  t.deepEqual(found, [])
})
