// Viewers that people have show the pixels that the screen has, and what is typed into them
// reaches the guest: Debian's virt-viewer at a Unix socket, and noVNC in Chromium.
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import test, { type ExecutionContext } from 'ava'

import { bridge, portOf } from './fixtures/viewers/bridge.ts'
import { Page, findChromium } from './fixtures/viewers/chromium.ts'
import { codesOf, echoMachine } from './fixtures/viewers/echo.ts'
import { type Image, contains, fromRgba } from './fixtures/viewers/images.ts'
import { VirtViewer, findViewers } from './fixtures/viewers/virt-viewer.ts'
import { until } from './fixtures/until.ts'
import { kvmTest } from './helpers/kvm.ts'

/** The emulated machine of `npm run test:svm` has this folder. */
const isEmulated = existsSync('/opt/linux')
const viewers = isEmulated
  ? { reason: 'a browser on an emulated processor takes minutes' }
  : await findViewers()
const chromium = findChromium()

function viewerTest(title: string, run: (t: ExecutionContext, usr: string) => Promise<void>): void {
  if ('reason' in viewers) return test.skip(`${title}: ${viewers.reason}`, (t) => t.pass())
  kvmTest(title, (t) => run(t, viewers.usr))
}

/** A machine that runs, and where its screen is. */
async function serve(t: ExecutionContext) {
  const vm = echoMachine()
  const run = vm.run()
  const folder = mkdtempSync(join(tmpdir(), 'viewers-'))
  const path = join(folder, 'screen')
  t.teardown(async () => {
    vm.stop()
    await run
    vm.close()
    rmSync(folder, { recursive: true })
  })
  const screen = vm.screen!
  await screen.listen({ path })
  const shows = (): Image => fromRgba(screen.width, screen.height, screen.pixels())
  return { vm, path, shows }
}

/** Whether a machine has shown the codes of keys. */
function pressed(vm: ReturnType<typeof echoMachine>, codes: number[]): Promise<boolean> {
  return until(() => codesOf(vm, codes.length).join() === codes.join())
}

viewerTest('virt-viewer shows the screen, and types', async (t, usr) => {
  const { vm, path, shows } = await serve(t)
  using viewer = await VirtViewer.open(usr, path)
  const isSame = (): boolean => contains(viewer.shown(), shows())
  t.true(await until(isSame), viewer.said)
  await viewer.type('l', 's', 'slash', 'A', 'Return', 'Up')
  const shift = 0x2a
  t.true(await pressed(vm, [0x26, 0x1f, 0x35, shift, 0x1e, 0x1c, 0x48]), viewer.said)
  t.true(await until(isSame), viewer.said)
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
  for (let at = 0; at < data.length; at += 8192) {
    text += String.fromCharCode(...data.subarray(at, at + 8192))
  }
  return btoa(text)
})()`

viewerTest('noVNC in Chromium shows the screen, and types', async (t, usr) => {
  if (chromium === undefined) {
    t.log('skipped: no Chromium on PATH')
    t.pass()
    return
  }
  const { vm, path, shows } = await serve(t)
  const server = await bridge(join(usr, 'share/novnc'), page, path)
  t.teardown(() => server.close())
  using tab = await Page.open(chromium, `http://127.0.0.1:${portOf(server)}/`)
  const becomesSame = async (): Promise<boolean> => {
    const end = performance.now() + 300_000
    while (performance.now() < end) {
      const bytes = Buffer.from((await tab.evaluate(readCanvas)) as string, 'base64')
      if (bytes.length > 0 && contains(fromRgba(640, 400, bytes), shows())) return true
    }
    return false
  }
  t.true(await becomesSame())
  await tab.press('l', 'KeyL', 76)
  await tab.press('?', 'Slash', 191)
  await tab.press('ArrowUp', 'ArrowUp', 38)
  t.true(await pressed(vm, [0x26, 0x35, 0x48]))
  t.true(await becomesSame())
})
