// Viewers that people have show the pixels that the screen has, and what is typed into them
// reaches the keyboard: Debian's virt-viewer at a Unix socket, and noVNC in Chromium.
import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import test, { type ExecutionContext } from 'ava'

import { listen } from '../src/machine/rfb/listen.ts'
import { NotedKeys, PaintedScreen } from './fixtures/rfb-screen.ts'
import { until } from './fixtures/until.ts'
import { bridge, portOf } from './fixtures/viewers/bridge.ts'
import { Page, findChromium } from './fixtures/viewers/chromium.ts'
import { type Image, contains, fromRgba } from './fixtures/viewers/images.ts'
import { VirtViewer, findViewers } from './fixtures/viewers/virt-viewer.ts'

const viewers = await findViewers()
const chromium = findChromium()

function viewerTest(title: string, run: (t: ExecutionContext, usr: string) => Promise<void>): void {
  if ('usr' in viewers) test(title, (t) => run(t, viewers.usr))
  else test.skip(`${title}: ${viewers.reason}`, (t) => t.pass())
}

async function serve(t: ExecutionContext) {
  const screen = new PaintedScreen(640, 400)
  const keyboard = new NotedKeys()
  const path = join(mkdtempSync(join(tmpdir(), 'rfb-')), 'screen')
  const server = await listen({ screen, keyboard, name: 'guest' }, { path })
  t.teardown(() => server.close())
  const shows = (): Image => fromRgba(640, 400, screen.pixels())
  return { screen, keyboard, path, shows }
}

viewerTest('virt-viewer', async (t, usr) => {
  const { screen, keyboard, path, shows } = await serve(t)
  using viewer = await VirtViewer.open(usr, path)
  const isSame = (): boolean => contains(viewer.shown(), shows())
  t.true(await until(isSame), viewer.said)
  screen.paint(100, 100, [255, 0, 0])
  t.false(isSame())
  t.true(await until(isSame), viewer.said)
  await viewer.type('l', 's', 'slash', 'A', 'Return', 'Up')
  await until(() => keyboard.notes.includes('-ArrowUp'))
  t.is(
    keyboard.notes.join(' '),
    '+KeyL -KeyL +KeyS -KeyS +Slash -Slash +ShiftLeft +KeyA -ShiftLeft -KeyA +Enter -Enter +ArrowUp -ArrowUp',
  )
})

const page = `<!doctype html><body><script type="module">
  import RFB from '/core/rfb.js'
  const rfb = new RFB(document.body, 'ws://' + location.host + '/screen')
  rfb.addEventListener('connect', () => { rfb.focus(); window.isConnected = true })
</script>`

const readCanvas = `(() => {
  const canvas = document.querySelector('canvas')
  if (!window.isConnected || canvas?.width !== 640) return ''
  const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height)
  let text = ''
  for (let at = 0; at < data.length; at += 8192) text += String.fromCharCode(...data.subarray(at, at + 8192))
  return btoa(text)
})()`

viewerTest('noVNC', async (t, usr) => {
  if (!chromium) return void t.log('skipped: no Chromium on PATH')
  const { screen, keyboard, path, shows } = await serve(t)
  const server = await bridge(join(usr, 'share/novnc'), page, path)
  t.teardown(() => server.close())
  using tab = await Page.open(chromium, `http://127.0.0.1:${portOf(server)}/`)
  const isSame = async (): Promise<boolean> => {
    const bytes = Buffer.from((await tab.evaluate(readCanvas)) as string, 'base64')
    return bytes.length > 0 && contains(fromRgba(640, 400, bytes), shows())
  }
  const becomesSame = async (): Promise<boolean> => {
    const end = performance.now() + 60_000
    while (performance.now() < end) if (await isSame()) return true
    return false
  }
  t.true(await becomesSame())
  screen.paint(100, 100, [255, 0, 0])
  t.true(await becomesSame())
  await tab.press('l', 'KeyL', 76)
  await tab.press('?', 'Slash', 191)
  await tab.press('ArrowUp', 'ArrowUp', 38)
  await until(() => keyboard.notes.includes('-ArrowUp'))
  t.is(keyboard.notes.join(' '), '+KeyL -KeyL +Slash -Slash +ArrowUp -ArrowUp')
})
