// The desktop in which clients are tested, without a daemon: virt-manager at libvirt's own
// stand-in for a host.
import { readFileSync } from 'node:fs'

import { decodePng } from '../../../__test__/helpers/png.ts'
import { clientTest } from './clients/clients.ts'
import { Desktop } from './clients/desktop.ts'

await clientTest('a desktop shows virt-manager, and presses its buttons', async (t) => {
  using desktop = await Desktop.open()
  const pid = await desktop.start(['virt-manager', '--no-fork', '-c', 'test:///default'])
  const running = { role: 'table cell', name: 'test\nRunning' }
  const shutDown = { role: 'push button', name: 'Shut Down', sensitive: true }
  await desktop.clickFor(running, shutDown)
  await desktop.clickFor(shutDown, { role: 'table cell', name: 'test\nShutoff' })
  const before = desktop.picture()
  await desktop.clickFor({ role: 'push button', name: 'Run', sensitive: true }, running)
  t.notDeepEqual(desktop.picture().words, before.words)
  const { width, height } = decodePng(readFileSync(desktop.keep('desktop')))
  t.deepEqual([width, height], [1280, 1024])
  t.is(await desktop.code(pid), null)
})
