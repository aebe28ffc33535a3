// What guests show and hear in a browser: both consoles, colours, rates, crashes, kept states.
import { setTimeout as sleep } from 'node:timers/promises'

import type { ExecutionContext } from 'ava'

import { Browser, browserTest, leave, state, text } from './helpers/browser.ts'
import { HttpDaemon } from './helpers/http-daemon.ts'
import { losing, routed, typing } from './helpers/shown-guests.ts'

/** The pixels of a picture, or of a part of one: of a copy, so that noVNC's own stays as it is. */
const pixels = `const pixels = (picture, x = 0, y = 0, w = picture.width, h = picture.height) => {
  const copy = new OffscreenCanvas(w, h).getContext('2d', { willReadFrequently: true })
  copy.drawImage(picture, -x, -y)
  return copy.getImageData(0, 0, w, h).data
}
const shown = document.querySelector('.screen canvas')`

/** Fetches the picture of the guest's screen and compares it with what noVNC shows. */
const isSame = (name: string): string => `(async () => {
  ${pixels}
  const answer = await fetch('/v1/machines/${name}/screen.png')
  const picture = await createImageBitmap(await answer.blob())
  if (picture.width !== shown.width || picture.height !== shown.height) return false
  const [a, b] = [pixels(picture), pixels(shown)]
  return a.every((value, at) => value === b[at])
})()`

/** The pixel in the middle of a cell of the text screen. */
const cell = (column: number, row: number): string => `(() => {
  ${pixels}
  const [width, height] = [shown.width / 80, shown.height / 25]
  return [...pixels(shown, (${column} + 0.5) * width, (${row} + 0.5) * height, 1, 1)]
    .slice(0, 3).join()
})()`

/** How many pixels of the second line are yellow: of what was typed. */
const yellow = `(() => {
  ${pixels}
  const data = pixels(shown, 0, shown.height / 25, shown.width, shown.height / 25)
  let count = 0
  for (let at = 0; at < data.length; at += 4)
    if (data[at] === 0xff && data[at + 1] === 0xff && data[at + 2] === 0x55) count++
  return count
})()`

const palette = [
  ...['0,0,0', '0,0,170', '0,170,0', '0,170,170', '170,0,0', '170,0,170', '170,85,0'],
  ...['170,170,170', '85,85,85', '85,85,255', '85,255,85', '85,255,255', '255,85,85'],
  ...['255,85,255', '255,255,85', '255,255,255'],
]

/** Nothing was said to the console of the page, and nothing was asked of another host. */
function isQuiet(t: ExecutionContext, browser: Browser, daemon: HttpDaemon): void {
  t.deepEqual(browser.said, [])
  t.deepEqual([...browser.hosts], [new URL(daemon.web).host])
}

async function opened(
  t: ExecutionContext,
  name: string,
  definition: (daemon: HttpDaemon) => object,
  tab = 'Console',
) {
  const daemon = await HttpDaemon.start(t, '0')
  await daemon.client.define(definition(daemon) as never)
  const browser = await Browser.open(t, daemon.web)
  await browser.until(t, `${state(name)} === 'defined'`)
  await browser.page.evaluate(`location.hash = '#/${name}/${tab}'`)
  await browser.until(t, `${text('h2')} === '${name}'`)
  await browser.click(t, 'Start')
  return { daemon, browser }
}

browserTest('a guest is typed to on both of its consoles, and its colours are right', async (t) => {
  const { daemon, browser } = await opened(t, 'm', (it) => typing(it, 'm'))
  await browser.until(t, `${text('.says')}.startsWith('Connected')`)
  await browser.until(t, `document.activeElement.matches('.xterm textarea')`)
  await browser.type('over the line')
  await browser.until(t, `${text('.xterm-rows')}.replaceAll('\\u00a0', ' ').includes('over the')`)
  await browser.page.send('Input.dispatchKeyEvent', { ...leave, type: 'keyDown', modifiers: 10 })
  await browser.pictures('console')

  await browser.click(t, 'Screen')
  await browser.until(t, `${text('.says')}.startsWith('Connected')`)
  await browser.until(t, `document.querySelector('.screen canvas').width > 300`)
  await browser.until(t, `${cell(15, 0)} === '255,255,255'`)
  for (const [column, colour] of palette.entries())
    t.is(await browser.page.evaluate(cell(column, 0)), colour, `colour ${column}`)
  t.is(await browser.page.evaluate(yellow), 0)
  await browser.page.evaluate(`document.querySelector('.screen canvas').focus()`)
  for (const key of 'typed') await browser.page.press(key, `Key${key.toUpperCase()}`, 0)
  await browser.until(t, `${yellow} > 100`)
  await browser.until(t, isSame('m'))
  await browser.pictures('screen')
  isQuiet(t, browser, daemon)
})

browserTest('a saved state is what a machine goes back to, until it is removed', async (t) => {
  const { daemon, browser } = await opened(t, 'm', (it) => typing(it, 'm'))
  await browser.until(t, `${state('m')} === 'running'`)
  const { client } = daemon
  const dark = async (): Promise<number> => {
    await browser.click(t, 'Screen')
    await browser.until(t, `document.querySelector('.screen canvas')?.width > 300`)
    await browser.until(t, `${cell(15, 0)} === '255,255,255'`)
    return Number(await browser.page.evaluate(yellow))
  }
  t.is(await dark(), 0)
  await browser.click(t, 'Snapshots')
  await browser.page.evaluate(`{
    const input = document.querySelector('.snapshots input')
    input.value = 'before'
    document.querySelector('.snapshots input:nth-of-type(2)').value = '<b>nothing typed</b>'
  }`)
  await browser.click(t, 'Save snapshot')
  await browser.until(t, `${text('.snapshots tbody')}.includes('<b>nothing typed</b>')`)
  await browser.pictures('snapshots')
  await client.sendKeys('m', ['KeyA'])
  await browser.click(t, 'Screen')
  await browser.until(t, `document.querySelector('.screen canvas')?.width > 300 && ${yellow} > 10`)
  await browser.click(t, 'Snapshots')
  await browser.click(t, 'Restore')
  await browser.until(t, `document.querySelector('dialog[open]')`)
  await browser.page.evaluate(`document.querySelector('dialog .danger').click()`)
  await browser.until(t, `${text('.events, .snapshots')} !== undefined`)
  await browser.click(t, 'Events')
  await browser.until(t, `${text('.events tbody')}.includes('restored')`)
  t.is(await dark(), 0)
  await browser.click(t, 'Snapshots')
  await browser.until(t, `document.querySelectorAll('.snapshots tbody tr').length === 1`)
  await browser.click(t, 'Remove')
  await browser.until(t, `document.querySelector('dialog[open]')`)
  await browser.page.evaluate(`document.querySelector('dialog .danger').click()`)
  await browser.until(t, `document.querySelectorAll('.snapshots tbody tr').length === 0`)
  t.deepEqual(await client.snapshots('m'), [])
  isQuiet(t, browser, daemon)
})

browserTest('rates move by reason and by route, and stand still in a pause', async (t) => {
  const { daemon, browser } = await opened(t, 'm', (it) => routed(it, 'm'))
  const { page } = browser
  await browser.click(t, 'Exits')
  const rows = (title: string): string =>
    `[...document.querySelectorAll('.part')].find((each) => each.textContent.startsWith('${title}'))
      ?.querySelectorAll('.bars tbody tr')`
  await browser.until(t, `${rows('By reason')}?.length === 2`)
  await browser.until(t, `${rows('By route')}?.length === 2`)
  const first = String(await page.evaluate(`${rows('By route')}[0].textContent`))
  t.regex(first, /^port 0x11/)
  const drawn = `[...document.querySelectorAll('.chart canvas, li canvas')].map((each) =>
    each.toDataURL()).join()`
  const before = await page.evaluate(`window.before = ${drawn}`)
  t.is(String(before).split('data:').length, 4)
  for (const chart of [0, 1, 2])
    await browser.until(
      t,
      `(${drawn}).split(',data')[${chart}] !== before.split(',data')[${chart}]`,
    )
  await sleep(4000)
  await browser.pictures('exits')
  const exits = `${text('a.row[href="#/m"] .number:nth-of-type(4)')}`
  t.not(await page.evaluate(exits), '0')
  await browser.click(t, 'Pause')
  await browser.until(t, `${state('m')} === 'paused' && ${exits} === '0'`)
  await browser.click(t, 'Resume')
  await browser.until(t, `${state('m')} === 'running' && ${exits} !== '0'`)
  isQuiet(t, browser, daemon)
})

browserTest(
  'a crash is told with its sentence and registers, a kill with what it was',
  async (t) => {
    const { daemon, browser } = await opened(t, 'lost', (it) => losing(it, 'lost'), 'Events')
    const { client } = daemon
    const { page } = browser
    await browser.until(t, `${state('lost')} === 'crashed'`)
    await browser.until(t, `document.querySelector('.crash:not([hidden]) dl')`)
    t.is(
      await page.evaluate(text('.crash p')),
      'Crashed: the guest wrote 1 byte (0x2a) to port 0x10, which no route claims.',
    )
    t.regex(String(await page.evaluate(text('.registers'))), /RAX000000000000002a/)
    t.regex(String(await page.evaluate(text('.crash pre'))), /no route claims port 0x10/)
    await browser.pictures('crashed')

    await client.define(typing(daemon, 'm') as never)
    await client.start('m')
    await browser.until(t, `${state('m')} === 'running'`)
    await page.evaluate(`location.hash = '#/m'`)
    await browser.until(t, `${text('.says')}.startsWith('Connected')`)
    process.kill((await client.find('m')).pid!, 'SIGKILL')
    await browser.until(t, `${state('m')} === 'crashed'`)
    await browser.until(t, `${text('.crash p')} === 'Crashed: its process was ended by SIGKILL.'`)
    t.regex(String(await page.evaluate(text('a.row[href="#/m"] .state'))), /crashed: SIGKILL/)
    t.regex(String(await page.evaluate(text('.head .state'))), /crashed: SIGKILL/)

    await browser.click(t, 'Start')
    await browser.until(t, `${state('m')} === 'running'`)
    t.true(await page.evaluate(`document.querySelector('.crash').hidden`))
    await browser.click(t, 'Kill')
    await browser.until(t, `${state('m')} === 'ended'`)
    await browser.until(t, `${text('.head .state')} === 'ended: stopped'`)
    isQuiet(t, browser, daemon)
  },
)
