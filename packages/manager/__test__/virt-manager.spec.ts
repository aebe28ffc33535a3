// Debian's virt-manager, on an X server without a screen, at a daemon with real machines.
import { setTimeout as sleep } from 'node:timers/promises'

import test, { type ExecutionContext } from 'ava'

import { contains, type Image } from '../../../__test__/fixtures/viewers/images.ts'
import { kvmTest } from '../../../__test__/helpers/kvm.ts'
import { until } from '../../../__test__/fixtures/until.ts'
import { clientTest } from './clients/clients.ts'
import { echoes, screenOf, served, shownCodes } from './clients/daemon.ts'
import { type Box, Desktop } from './clients/desktop.ts'
import { greeting } from './clients/guests.ts'

const password = 'secret'
const row = (name: string, state: string) => ({ role: 'table cell', name: `${name}\n${state}` })

/** virt-manager, with the machine `guest` among others. */
async function opened(t: ExecutionContext, ...words: string[]) {
  const daemon = await served(t)
  const { supervisor, uri } = daemon
  for (const name of ['first', 'guest', 'third']) {
    const definition = echoes(name, daemon, { vnc: { password } })
    await supervisor.define(definition, { from: 'local' })
  }
  const desktop = await Desktop.open()
  t.teardown(() => desktop[Symbol.dispose]())
  const start = () => desktop.start(['virt-manager', '--no-fork', '-c', uri, ...words])
  return { daemon, supervisor, desktop, start }
}

/** How many pixels of a graph are not white. */
const inked = ({ words }: Image): number => words.filter((word) => word !== 0xff_ffff).length

const guestTest = (title: string, run: (t: ExecutionContext) => Promise<void>): Promise<void> =>
  clientTest(title, run, (name, body) => kvmTest(name, body, test.serial))

await guestTest(
  'virt-manager lists machines, starts one by its button, and its CPU graph moves',
  async (t) => {
    const { daemon, supervisor, desktop, start } = await opened(t)
    await start()
    for (const name of ['first', 'guest', 'third']) await desktop.find(row(name, 'Shutoff'))
    const run = { role: 'push button', name: 'Run', sensitive: true }
    await desktop.clickFor(row('guest', 'Shutoff'), run)
    await desktop.click(run)
    await desktop.find(row('guest', 'Running'))
    t.is(supervisor.find('guest').state, 'running')
    const header = await desktop.find({ role: 'table column header', name: 'CPU usage' })
    const graphOf = async (name: string, state: string): Promise<Box> => {
      const { box } = await desktop.find(row(name, state))
      // Without its frame, and the colour of the line that is chosen.
      return [header.box[0] + 12, box[1] + 5, header.box[2] - 24, box[3] - 10]
    }
    const [graph, idle] = [await graphOf('guest', 'Running'), await graphOf('third', 'Shutoff')]
    // Each look adds some 44 pixels while the guest computes; one spike would have fewer than 150.
    const grows = (): boolean => inked(desktop.picture(graph)) > 200
    t.true(await until(grows, undefined, () => sleep(100)), desktop.said)
    t.is(inked(desktop.picture(idle)), 0)
    desktop.keep('virt-manager')
    // It would like to have a pool for disks, and does without.
    t.deepEqual(
      daemon.unanswered.filter((line) => !line.includes('procedure 77 ')),
      [],
    )
  },
)

await guestTest('its text console replays, and answers what was typed', async (t) => {
  const { supervisor, desktop, start } = await opened(t, '--show-domain-console', 'guest')
  await supervisor.start('guest')
  await start()
  // It begins with the graphical console, and would return to it until that has an answer.
  await desktop.find({ role: 'password text' })
  const consoles = { role: 'menu', name: 'Consoles' }
  const serial = { role: 'radio menu item', name: /^Serial/ }
  await desktop.clickFor({ role: 'menu', name: 'View' }, consoles)
  await desktop.clickFor(consoles, serial)
  const replayed = { role: 'terminal', text: new RegExp(greeting.trim()) }
  const terminal = await desktop.clickFor(serial, replayed)
  await desktop.click(terminal)
  await desktop.type('hello')
  await desktop.find({ role: 'terminal', text: /ready\s+hello/ })
  desktop.keep('virt-manager-text')
  t.regex(String(await supervisor.log('guest')), /ready\r\nhello/)
})

await guestTest("its graphical console shows the guest's screen, and types", async (t) => {
  const { daemon, supervisor, desktop, start } = await opened(t, '--show-domain-console', 'guest')
  await supervisor.start('guest')
  await start()
  await desktop.click({ role: 'password text' })
  await desktop.type(password)
  const login = { role: 'push button', name: 'Login' }
  await desktop.click(await desktop.clickFor(login, { role: 'drawing area' }))
  const isShown = async (): Promise<boolean> => {
    const screen = await screenOf(daemon, 'guest')
    return until(() => contains(desktop.picture(), screen))
  }
  t.true(await isShown(), desktop.said)
  await desktop.press('l', 's')
  t.deepEqual(await shownCodes(daemon, 'guest', 2), [0x26, 0x1f])
  t.true(await isShown(), desktop.said)
  desktop.keep('virt-manager-screen')
})
