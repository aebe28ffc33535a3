// Other clients of Debian's libvirt, at a daemon with real machines: virt-viewer, virt-install and
// python3-libvirt.
import test, { type ExecutionContext } from 'ava'

import { contains } from '../../../__test__/fixtures/viewers/images.ts'
import { kvmTest } from '../../../__test__/helpers/kvm.ts'
import { until } from '../../../__test__/fixtures/until.ts'
import { clientTest } from './clients/clients.ts'
import { echoes, screenOf, served, shownCodes } from './clients/daemon.ts'
import { Desktop } from './clients/desktop.ts'

const guestTest = (title: string, run: (t: ExecutionContext) => Promise<void>): Promise<void> =>
  clientTest(title, run, (name, body) => kvmTest(name, body, test.serial))

await guestTest('virt-viewer shows a screen by its Unix socket, and types', async (t) => {
  const daemon = await served(t)
  await daemon.supervisor.define(echoes('guest', daemon), { from: 'local' })
  await daemon.supervisor.start('guest')
  using desktop = await Desktop.open()
  await desktop.start(['virt-viewer', '--connect', daemon.uri, 'guest'])
  const isShown = async (): Promise<boolean> => {
    const screen = await screenOf(daemon, 'guest')
    return until(() => contains(desktop.picture(), screen))
  }
  t.true(await isShown(), desktop.said)
  await desktop.click({ role: 'drawing area' })
  await desktop.press('l', 's')
  t.deepEqual(await shownCodes(daemon, 'guest', 2), [0x26, 0x1f])
  t.true(await isShown(), desktop.said)
  desktop.keep('virt-viewer')
})

await guestTest('virt-install --import defines a machine and starts it', async (t) => {
  const { supervisor, kernel, run } = await served(t)
  const options = ['--name', 'installed', '--memory', '16', '--vcpus', '1', '--import']
  const boot = ['--boot', `kernel=${kernel}`, '--osinfo', 'detect=off,require=off']
  const devices = ['--disk', 'none', '--network', 'none', '--graphics', 'vnc']
  const { code, stdout, stderr } = await run(
    ...['virt-install', '--noautoconsole', ...options, ...boot, ...devices],
  )
  t.is(code, 0, stderr)
  t.regex(stdout, /Domain creation completed/)
  const { state, persistent, definition } = supervisor.find('installed')
  t.deepEqual([state, persistent], ['running', true])
  t.is(definition.memoryBytes, 16 * 2 ** 20)
  const says = async () => String(await supervisor.log('installed')).includes('ready')
  const end = performance.now() + 300_000
  while (performance.now() < end && !(await says())) continue
  t.true(await says())
})

const program = `
import libvirt
connection = libvirt.open()
for domain in sorted(connection.listAllDomains(), key=lambda one: one.name()):
    print(domain.name(), domain.isActive())
guest = connection.lookupByName("guest")
print(bytes(guest.memoryPeek(0x100000, 4, libvirt.VIR_MEMORY_PHYSICAL)).hex())
print(guest.info()[3])
`

await guestTest('python3-libvirt lists machines, and reads the memory of one', async (t) => {
  const { supervisor, run, ...rest } = await served(t)
  for (const name of ['guest', 'other']) {
    await supervisor.define(echoes(name, rest), { from: 'local' })
  }
  await supervisor.start('guest')
  const { code, stdout, stderr } = await run('/usr/bin/python3', '-c', program)
  t.is(code, 0, stderr)
  t.deepEqual(stdout.trim().split('\n'), ['guest 1', 'other 0', '02b0ad1b', '1'])
})
