// Hostile guests in Chromium: each slows down its own view, and nothing beside it.
import { setTimeout as sleep } from 'node:timers/promises'

import type { Page } from '../../../__test__/fixtures/viewers/chromium.ts'

import { Browser, browserTest, state, text } from './helpers/browser.ts'
import { Flood } from './helpers/flood.ts'
import { HttpDaemon } from './helpers/http-daemon.ts'
import { repeating, saying, storming, ticking } from './helpers/web-guests.ts'

/** Numbers larger than any screen, where a terminal counts. */
const bombs = ['L', 'M', 'S', 'T', 'I', 'Z', 'b', 'X', 'P', '@', 'A', 'B', 'C', 'D', 'E', 'F', 'G']
  .flatMap((final) => [`\u001B[2147483647${final}`, `a\u001B[99999999${final}`])
  .join('')

/** What a terminal may do to what is around it. */
const reaches = [
  '\u001B]0;owned\u0007',
  '\u001B]2;owned\u001B\\',
  `\u001B]52;c;${Buffer.from('owned').toString('base64')}\u0007`,
  '\u001B]8;;javascript:alert(1)\u001B\\press\u001B]8;;\u001B\\',
  '\u001B]8;;https://evil.example/\u001B\\press\u001B]8;;\u001B\\',
  '\u001B[22t\u001B[23t\u001B[8;1;1t\u001B[3;0;0t\u001B[2t\u001B[21t',
  '<img src=x onerror=alert(1)><script>alert(1)</script>',
].join('\r\n')

const cases: Readonly<Record<string, string>> = {
  bombs,
  reaches,
  // Of 8 bits, by themselves and in UTF-8; directions of writing; no end.
  bytes: '\u009B31m\u009D0;owned\u009C\u0090\u202E\u2066\u2067\uFEFF\u0085\u{10FFFF}\uFFFF',
  screens: '\u001B[?1049h\u001B[?47h\u001B[?1047l'.repeat(300),
  resets: '\u001Bc'.repeat(4000),
  colours: '\u001B]4;1;#123456\u0007\u001B]10;#000000\u0007\u001B]104\u0007'.repeat(300),
  links: '\u001B]8;;x:y\u001B\\'.repeat(1500),
  marks: `a${'\u0301'.repeat(4000)}\u001B[400b${'\u001B[m\u0301'.repeat(1000)}`,
  asks: '\u001B[c\u001B[6n\u001B[>c\u001B]4;1;?\u0007\u001BP$qm\u001B\\'.repeat(500),
  modes: '\u001B[?1000h\u001B[?1006h\u001B[?2004h\u001B[?25l\u001B[?5h\u001B[4h\u001B[20h',
}

/** What is left of a sequence ends, and a line follows that shows that it did. */
const end = '\u0018\u001B\\\u001Bc\u001B[?1049lat the end'

/** An expression for whether the console of a machine shows some words. */
const shows = (name: string, words: string): string =>
  `${text('h2')} === '${name}' &&
    ${text('.xterm-rows')}?.replaceAll('\\u00a0', ' ').includes('${words}')`

/** Presses the mouse on the last line of the console with these words. */
async function pressOn(page: Page, words: string): Promise<void> {
  const [x, y] = (await page.evaluate(`(() => {
    const lines = [...document.querySelectorAll('.xterm-rows > div')]
    const { x, y, height } = lines.findLast((each) => each.textContent.includes('${words}'))
      .getBoundingClientRect()
    return [x + 12, y + height / 2]
  })()`)) as [number, number]
  for (const type of ['mouseMoved', 'mousePressed', 'mouseReleased']) {
    await page.send('Input.dispatchMouseEvent', { type, x, y, button: 'left', clickCount: 1 })
    await sleep(100)
  }
}

browserTest('no text of a guest reaches beyond its view', async (t) => {
  t.timeout(900_000)
  const daemon = await HttpDaemon.start(t, '0')
  const { client } = daemon
  const browser = await Browser.open(t, daemon.web)
  const { page } = browser
  await page.send('Browser.grantPermissions', {
    permissions: ['clipboardReadWrite', 'clipboardSanitizedWrite'],
  })
  await page.send('Emulation.setFocusEmulationEnabled', { enabled: true })
  await browser.until(t, `document.getElementById('nothing')?.hidden === false`)
  await page.evaluate(`navigator.clipboard.writeText('mine')`)
  const say = async (name: string, said: string): Promise<void> => {
    await client.define(saying(daemon, name, Buffer.from(said)))
    await client.start(name)
    await browser.until(t, `${state(name)} === 'running'`)
    await page.evaluate(`location.hash = '#/${name}'`)
  }
  for (const [name, said] of Object.entries(cases)) {
    await say(name, said + end)
    await browser.until(t, shows(name, 'at the end'))
    t.is(await page.evaluate('document.title'), `${name} – vmexit`)
    await client.kill(name)
  }
  // What does not end hides what follows, and nothing else.
  for (const [name, begun] of Object.entries({
    dcs: '\u001BP',
    osc: '\u001B]0;',
    apc: '\u001B_',
  })) {
    await say(name, `${begun}${'1'.repeat(8000)}`)
    await browser.until(t, `${text('.says')}.startsWith('Connected')`)
    t.is(await page.evaluate('document.title'), `${name} – vmexit`)
    await client.kill(name)
  }
  // What looks like a link is none.
  await say('links', cases['reaches']!)
  await browser.until(t, shows('links', 'press'))
  await pressOn(page, 'press')
  await sleep(500)
  t.is(await page.evaluate('navigator.clipboard.readText()'), 'mine')
  t.deepEqual(browser.said, [])
  t.deepEqual([...browser.hosts], [new URL(daemon.web).host])
})

const floods: Readonly<Record<string, string>> = {
  letters: 'x'.repeat(8192),
  lines: `${'y'.repeat(60)}\r\n`.repeat(128),
  resets: '\u001Bc'.repeat(4000),
  scrolls: '\u001B[40L\u001B[40M\u001B[40S\u001B[40T'.repeat(300),
  screens: '\u001B[?1049h\u001B[?1049l'.repeat(500),
  marks: `a${'\u0301'.repeat(4000)}`,
}

/** How long the longest of some frames took, in ms: what the page does not get to do. */
const frames = `new Promise((done) => {
  let [turns, last, longest] = [0, performance.now(), 0]
  const turn = (now) => {
    longest = Math.max(longest, now - last)
    last = now
    if (++turns === 30) done(Math.round(longest))
    else requestAnimationFrame(turn)
  }
  requestAnimationFrame(turn)
})`

/** Text that a console gives in a while, in KiB a second. */
async function speed(client: HttpDaemon['client'], name: string): Promise<number> {
  const console = await client.console(name)
  let bytes = 0
  console.on('error', () => undefined).on('data', (chunk: Buffer) => (bytes += chunk.length))
  const began = performance.now()
  await sleep(1000)
  console.destroy()
  return Math.round(bytes / 1.024 / (performance.now() - began))
}

browserTest('a guest that does all that it can slows down its own view', async (t) => {
  t.timeout(900_000)
  const daemon = await HttpDaemon.start(t, '0')
  const { client } = daemon
  await client.define(ticking(daemon, 'quiet'))
  await client.start('quiet')
  const own = await Browser.open(t, daemon.web)
  const other = await Browser.open(t, await client.webUrl())
  await other.until(t, `${state('quiet')} === 'running'`)
  await other.page.evaluate(`location.hash = '#/quiet'`)
  await other.until(t, `document.activeElement.matches('.xterm textarea')`)
  let typed = ''
  const others = async (name: string): Promise<string> => {
    const took = [await own.page.evaluate(frames), await other.page.evaluate(frames)]
    typed += 'k'
    await other.type('k')
    await other.until(t, shows('quiet', typed))
    await client.kill(name)
    await own.until(t, `${state(name)} !== 'running'`)
    return `${name}: the longest of 30 frames took ${took[0]} ms here, ${took[1]} ms elsewhere`
  }
  for (const [name, said] of Object.entries(floods)) {
    await client.define(repeating(daemon, name, Buffer.from(said)))
    await client.start(name)
    await own.until(t, `${state(name)} === 'running'`)
    await own.page.evaluate(`location.hash = '#/${name}'`)
    await own.until(t, `${text('.says')}.startsWith('Connected')`)
    const kib = await speed(client, name)
    t.log(`${await others(name)}; ${kib} KiB a second`)
  }
  await client.define(storming(daemon, 'storm'))
  await client.start('storm')
  await own.until(t, `${state('storm')} === 'running'`)
  await own.page.evaluate(`location.hash = '#/storm'`)
  await own.click(t, 'Screen')
  await own.until(t, `document.querySelector('.screen canvas')?.width > 100`)
  await sleep(1000)
  t.log(await others('storm'))
  t.deepEqual([own.said, other.said], [[], []])
})

browserTest('a machine that says more than anyone can show leaves the page usable', async (t) => {
  t.timeout(900_000)
  const flood = await Flood.start(t)
  const browser = await Browser.open(t, flood.web)
  await browser.until(t, `${state('m')} === 'running'`)
  await browser.page.evaluate(`location.hash = '#/m'`)
  await browser.until(t, `${text('.says')}?.startsWith('Too fast to show')`)
  const [began, { said: before }] = [performance.now(), await flood.census()]
  const longest = await browser.page.evaluate(frames)
  // Fifty times what the page keeps.
  for (let said = before; said < before + 50 * 2 ** 20; said = (await flood.census()).said)
    await sleep(50)
  const rate = ((await flood.census()).said - before) / 1000 / (performance.now() - began)
  t.log(`${rate.toFixed(0)} MB a second, the longest of 30 frames took ${String(longest)} ms`)
  await browser.page.evaluate(`{
    const search = document.getElementById('search')
    search.value = 'none'
    search.dispatchEvent(new Event('input'))
  }`)
  await browser.until(t, `document.getElementById('nothing')?.hidden === false`)
  t.deepEqual(browser.said, [])
})

browserTest('names, notes and messages with markup are text', async (t) => {
  t.timeout(900_000)
  const daemon = await HttpDaemon.start(t, '0')
  const { client } = daemon
  const markup = `<img src=x onerror=alert(1)>&amp;\u202E"'`
  const browser = await Browser.open(t, daemon.web)
  const lost = { ...ticking(daemon, 'lost'), payload: { file: `/${markup}`, format: 'flat' } }
  await client.define(lost)
  await t.throwsAsync(client.start('lost'))
  await client.define(saying(daemon, 'says', Buffer.from(`${markup}\r\n`)))
  await client.start('says')
  await client.saveSnapshot('says', 'first', { description: markup })
  await browser.until(t, `${state('says')} === 'running' && ${state('lost')} === 'crashed'`)
  const seen = async (name: string, tab: string): Promise<void> => {
    await browser.page.evaluate(`location.hash = '#/${name}'`)
    await browser.until(t, `${text('h2')} === '${name}'`)
    await browser.click(t, tab)
    await browser.until(t, `document.body.innerText.includes('<img src=x onerror=alert(1)>')`)
  }
  await seen('lost', 'Definition')
  await seen('lost', 'Events')
  await seen('says', 'Snapshots')
  await seen('says', 'Log')
  t.is(await browser.page.evaluate(`document.querySelectorAll('img').length`), 0)
  t.deepEqual(browser.said, [])
  t.deepEqual([...browser.hosts], [new URL(daemon.web).host])
})
