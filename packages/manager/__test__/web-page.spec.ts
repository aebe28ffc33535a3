// The page of the web screen in Chromium, over a daemon with machines on the real KVM.
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

import { startDaemon } from '../dist/index.js'
import { Browser, browserTest, leave, state, text } from './helpers/browser.ts'
import { temporary } from './helpers/folder.ts'
import { echoing, flooding, HttpDaemon } from './helpers/http-daemon.ts'

/** It ends what hangs. */
const limitMs = 300_000

browserTest('machines are seen and driven in a browser', async (t) => {
  t.timeout(900_000)
  const daemon = await HttpDaemon.start(t, '0')
  for (const name of ['echo', 'other']) await daemon.client.define(echoing(daemon, name) as never)
  const browser = await Browser.open(t, daemon.web)
  const { page } = browser

  await browser.until(t, `${state('echo')} === 'defined' && ${state('other')} === 'defined'`)
  await browser.pictures('list')
  await page.press('j', 'KeyJ', 74)
  await page.evaluate('document.activeElement.click()')
  await browser.until(t, `${text('h2')} === 'echo'`)
  await browser.click(t, 'Start')
  await browser.until(t, `${state('echo')} === 'running'`)

  await browser.until(t, `${text('.says')}.startsWith('Connected')`)
  await browser.until(t, `document.activeElement.matches('.xterm textarea')`)
  await browser.type('hello jk')
  await browser.until(t, `${text('.xterm-rows')}.replaceAll('\\u00a0', ' ').includes('hello jk')`)
  await browser.until(t, `${text('a.row[href="#/echo"] .number:nth-of-type(4)')} !== ''`)
  await browser.page.send('Input.dispatchKeyEvent', { ...leave, type: 'keyDown', modifiers: 10 })
  await browser.until(t, `document.activeElement.matches('[role=tab]')`)
  await browser.pictures('console')

  await browser.click(t, 'Exits')
  await browser.until(t, `document.querySelector('.chart canvas') && ${text('.bars td.number')}`)
  await sleep(2000)
  await browser.pictures('exits')
  await browser.click(t, 'Screen')
  await browser.until(t, `${text('.says')}.startsWith('Connected')`)
  await browser.until(t, `document.querySelector('.screen canvas').width > 100`)
  await browser.pictures('screen')

  await browser.click(t, 'Pause')
  await browser.until(t, `${state('echo')} === 'paused'`)
  await browser.click(t, 'Resume')
  await browser.until(t, `${state('echo')} === 'running'`)
  await browser.click(t, 'Snapshots')
  await browser.click(t, 'Save snapshot')
  await browser.until(t, `document.querySelectorAll('.snapshots tbody tr').length === 1`)
  await browser.pictures('snapshots')

  await browser.click(t, 'Kill')
  await browser.until(t, `['crashed', 'ended'].includes(${state('echo')})`)
  t.regex(String(await page.evaluate(text('.head .state'))), /crashed|ended/)
  for (const tab of ['Definition', 'Events', 'Log']) {
    await browser.click(t, tab)
    await sleep(300)
    await browser.pictures(tab.toLowerCase())
  }
  t.deepEqual(browser.said, [])
  t.deepEqual([...browser.hosts], [new URL(daemon.web).host])
})

browserTest('keys act on the row that has the focus, and a switch on its start', async (t) => {
  const daemon = await HttpDaemon.start(t, '0')
  for (const name of ['a', 'b']) await daemon.client.define(echoing(daemon, name) as never)
  const browser = await Browser.open(t, daemon.web)
  const { page } = browser
  await browser.until(t, `${state('b')} === 'defined'`)
  const press = (key: string): Promise<void> => browser.type(key)
  await press('j')
  await press('j')
  await press('s')
  await browser.until(t, `${state('b')} === 'running'`)
  await press('p')
  await browser.until(t, `${state('b')} === 'paused'`)
  await press('p')
  await browser.until(t, `${state('b')} === 'running'`)
  // What would lose something is asked for.
  await press('x')
  await browser.until(t, `document.querySelector('dialog[open]')`)
  await page.press('Escape', 'Escape', 27)
  await browser.until(t, `!document.querySelector('dialog')`)
  t.is(await page.evaluate(state('b')), 'running')
  await press('b')
  await browser.until(t, `${state('b')} === 'ended'`)
  t.is(await page.evaluate(state('a')), 'defined')

  await page.press('Enter', 'Enter', 13)
  await page.evaluate(`location.hash = '#/b/Definition'`)
  await browser.until(t, `document.querySelector('[role=switch]')?.checked === false`)
  for (const wanted of [true, false]) {
    await page.evaluate(`document.querySelector('[role=switch]').click()`)
    const isSet = async (): Promise<boolean> => (await daemon.client.find('b')).autostart === wanted
    for (const end = performance.now() + limitMs; performance.now() < end && !(await isSet());)
      await sleep(50)
    t.true(await isSet())
    await browser.until(t, `document.querySelector('[role=switch]').checked === ${wanted}`)
  }
  t.deepEqual(browser.said, [])
})

/** An expression for a field of the form. */
const field = (label: string): string =>
  `[...document.querySelectorAll('.fields label')].find((each) =>
    each.textContent.startsWith('${label}')).querySelector('input, select, textarea')`

/** Writes into fields as a person does. */
async function fill({ page }: Browser, values: Readonly<Record<string, string>>): Promise<void> {
  for (const [label, value] of Object.entries(values))
    await page.evaluate(`{
      const field = ${field(label)}
      field.focus()
      field.value = ${JSON.stringify(value)}
      field.dispatchEvent(new Event('input'))
    }`)
}

browserTest('a form writes a definition, and says which field is wrong', async (t) => {
  const daemon = await HttpDaemon.start(t, '0')
  const browser = await Browser.open(t, daemon.web)
  await browser.until(t, `document.getElementById('nothing')?.hidden === false`)
  await browser.click(t, 'Define…')
  const { page } = browser
  const json = `JSON.parse(document.querySelector('textarea.json').value)`
  const { payload } = echoing(daemon, 'm') as { payload: { file: string } }
  await fill(browser, {
    Name: 'formed',
    Mode: 'real',
    Image: payload.file,
    Format: 'flat',
    'Command line': 'quiet',
    Memory: 'much',
    vCPUs: '2',
    Disks: '/a.img\n/b.img',
    Screen: 'text',
    Network: 'passt',
    Group: 'g',
    Restart: 'on-failure',
  })
  await page.evaluate(`${field('Starts with')}.click()`)
  await browser.click(t, 'Define')
  await browser.until(t, `${field('Memory')}.getAttribute('aria-invalid') === 'true'`)
  t.true(await page.evaluate(`document.activeElement === ${field('Memory')}`))
  t.is(await page.evaluate(`document.querySelectorAll('.fields [aria-invalid]').length`), 1)
  t.regex(String(await page.evaluate(text('.wrong'))), /^Line \d+: .*memoryBytes.*much/)
  await browser.pictures('define')
  await fill(browser, { Memory: '1' })
  t.is(await page.evaluate(text('.wrong')), '')
  t.deepEqual(await page.evaluate(json), {
    name: 'formed',
    pc: true,
    mode: 'real',
    memoryBytes: 2 ** 20,
    payload: { file: payload.file, format: 'flat', cmdline: 'quiet' },
    vcpus: 2,
    disks: [{ file: '/a.img' }, { file: '/b.img' }],
    screen: 'text',
    network: [{ passt: true }],
    manager: { group: 'g', restart: 'on-failure', autostart: true },
  })
  // What is taken away in the form is taken away.
  const labels = ['Command line', 'Disks', 'Group', 'Restart', 'Network', 'vCPUs']
  await fill(browser, Object.fromEntries(labels.map((label) => [label, ''])))
  await page.evaluate(`${field('Starts with')}.click()`)
  await browser.click(t, 'Define')
  await browser.until(t, `${state('formed')} === 'defined'`)
  t.deepEqual((await daemon.client.find('formed')).definition as unknown, {
    name: 'formed',
    mode: 'real',
    memoryBytes: 2 ** 20,
    pc: true,
    screen: 'text',
    payload: { file: payload.file, format: 'flat' },
  })
})

browserTest('a definition that is wrong is refused where it is wrong', async (t) => {
  const daemon = await HttpDaemon.start(t, '0')
  const browser = await Browser.open(t, daemon.web)
  const { page } = browser
  await browser.until(t, `document.getElementById('nothing')?.hidden === false`)
  await browser.click(t, 'Define…')
  await page.evaluate(`document.querySelector('textarea.json').focus()`)
  const hostile = { ...echoing(daemon, 'm'), memoryBytes: '<b>much</b>' }
  const wrong = JSON.stringify(JSON.stringify(hostile, undefined, 2))
  await browser.page.evaluate(`document.querySelector('textarea.json').value = ${wrong}`)
  await browser.click(t, 'Define')
  await browser.until(t, `${text('.wrong')}.startsWith('Line ')`)
  t.regex(String(await browser.page.evaluate(text('.wrong'))), /^Line \d+: .*memoryBytes.*<b>/)
  const right = JSON.stringify(JSON.stringify(echoing(daemon, 'm')))
  await browser.page.evaluate(`document.querySelector('textarea.json').value = ${right}`)
  await browser.click(t, 'Define')
  await browser.until(t, `${state('m')} === 'defined'`)
  // Chromium notes an answer of 400 itself.
  t.deepEqual(
    browser.said.filter((each) => !each.includes('status of 400')),
    [],
  )
})

browserTest('a page says that its daemon is gone, and comes back by itself', async (t) => {
  const folder = temporary(t)
  const folders = { state: join(folder, 's'), runtime: join(folder, 'r') }
  const first = await startDaemon({ ...folders, web: { port: 0 } })
  t.teardown(() => first.close())
  const url = String(first.web)
  const browser = await Browser.open(t, url)
  await browser.until(t, `document.getElementById('nothing')?.hidden === false`)
  t.false(String(await browser.page.evaluate('location.href')).includes('token'))
  await first.close()
  await browser.until(t, `!document.getElementById('banner').hidden`)
  await browser.pictures('gone')
  const second = await startDaemon({ ...folders, web: { port: Number(new URL(url).port) } })
  t.teardown(() => second.close())
  await browser.until(t, `document.getElementById('banner').hidden`)
  const definition = { name: 'late', memoryBytes: 4096, payload: { file: '/none' } } as never
  await second.supervisor.define(definition, { from: 'local' })
  await browser.until(t, `${state('late')} === 'defined'`)
})

browserTest('a page holds one stream, and none while it is not seen', async (t) => {
  const daemon = await HttpDaemon.start(t, '0')
  const browser = await Browser.open(t, daemon.web)
  const streams = async (wanted: number): Promise<void> => {
    const held = async (): Promise<unknown> => {
      const { httpEventStreams, httpStatsStreams } = await daemon.counts()
      return `${httpEventStreams} ${httpStatsStreams}`
    }
    const both = `${wanted} ${wanted}`
    for (
      const end = performance.now() + limitMs;
      performance.now() < end && (await held()) !== both;
    )
      await sleep(50)
    t.is(await held(), both)
  }
  const turn = (seen: string): Promise<unknown> =>
    browser.page.evaluate(`{
      Object.defineProperty(document, 'visibilityState', { value: '${seen}', configurable: true })
      document.dispatchEvent(new Event('visibilitychange'))
    }`)
  await streams(1)
  await turn('hidden')
  await streams(0)
  await daemon.client.define(echoing(daemon, 'late') as never)
  await turn('visible')
  await streams(1)
  await browser.until(t, `${state('late')} === 'defined'`)
  t.true(await browser.page.evaluate(`document.getElementById('banner').hidden`))
  t.deepEqual(browser.said, [])
})

browserTest('a guest that never stops to print leaves the page usable', async (t) => {
  t.timeout(900_000)
  const daemon = await HttpDaemon.start(t, '0')
  const browser = await Browser.open(t, daemon.web)
  const many = Array.from({ length: 200 }, (_, index) => `quiet-${index}`)
  for (const name of many) await daemon.client.define(echoing(daemon, name) as never)
  await daemon.client.define(flooding(daemon, 'flood') as never)
  await daemon.client.start('flood')
  await browser.until(t, `${state('flood')} === 'running'`)
  await browser.page.evaluate(`location.hash = '#/flood'`)
  await browser.until(t, `${text('.xterm-rows')}?.includes('xxx')`)
  const turns = `new Promise((done) => {
    let [turns, last, longest] = [0, performance.now(), 0]
    const turn = (now) => {
      longest = Math.max(longest, now - last)
      last = now
      if (++turns === 60) done(longest)
      else requestAnimationFrame(turn)
    }
    requestAnimationFrame(turn)
  })`
  t.log(`the longest of 60 frames took ${String(await browser.page.evaluate(turns))} ms`)
  await browser.page.evaluate(`{
    const search = document.getElementById('search')
    search.value = 'quiet-19'
    search.dispatchEvent(new Event('input'))
  }`)
  await browser.until(t, `document.querySelectorAll('#machines li:not([hidden])').length === 11`)
  await browser.pictures('many')
  await browser.click(t, 'Kill')
  await browser.until(t, `['crashed', 'ended'].includes(${state('flood')})`)
  t.deepEqual(browser.said, [])
})
