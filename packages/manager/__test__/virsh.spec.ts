// Debian's virsh, unpatched, drives machines through the daemon's socket.
import { readFileSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'

import { until } from '../../../__test__/fixtures/until.ts'
import { vmexitJson } from '../../../__test__/helpers/cli.ts'
import { clientTest } from './clients/clients.ts'
import { countGpa, greeting } from './fixtures/watchful-kernel.ts'
import { Bench } from './helpers/virsh.ts'

await clientTest('virsh shows the host', async (t) => {
  const bench = await Bench.open(t)
  const { virsh } = bound(bench)
  t.regex(await virsh('version'), /Running hypervisor: vmexit \d+\.\d+\.\d+/)
  t.regex(await virsh('uri'), /^vmexit:\/\/\/system\?socket=/)
  t.regex(await virsh('nodeinfo'), /^CPU model: +x86_64\nCPU\(s\): +[1-9]\d*$/m)
  const capabilities = await virsh('capabilities')
  t.regex(capabilities, /<domain type='vmexit'\/>/)
  t.regex(capabilities, /<arch>x86_64<\/arch>/)
  t.regex(await virsh('domcapabilities'), /<enum name='modelType'>\s*<value>vga</)
  t.regex(await virsh('nodememstats'), /^total *: +\d+ KiB$/m)
  t.regex(await virsh('nodecpustats'), /^user: +\d+$/m)
  t.regex(await virsh('freecell'), /^Total: +\d+ KiB$/m)
  t.is(await virsh('maxvcpus'), '64')
  for (const list of ['net-list', 'pool-list', 'nodedev-list', 'iface-list', 'secret-list']) {
    t.notRegex(await virsh(list), /\d/, 'there are none')
  }
})

await clientTest('virsh defines a machine, and shows what it is', async (t) => {
  const bench = await Bench.open(t)
  const { virsh } = bound(bench)
  await virsh('define', bench.document('m', { more: '<vcpu>1</vcpu><title>A title</title>' }))
  t.regex(await virsh('list', '--all'), /^ - +m +shut off$/m)
  t.is(await virsh('list', '--all', '--name', '--state-running'), '')
  const info = await virsh('dominfo', 'm')
  t.regex(info, /^State: +shut off$/m)
  t.regex(info, /^Max memory: +16384 KiB$/m)
  t.regex(info, /^Persistent: +yes$/m)
  t.is(await virsh('desc', 'm', '--title'), 'A title')
  await virsh('desc', 'm', '--title', '--new-desc', 'Another')
  const [view] = bench.supervisor.list()
  t.is(await virsh('domuuid', 'm'), view!.uuid)
  t.is(view!.state, 'defined')
  t.deepEqual(view!.definition.payload, { file: bench.kernel })
  t.regex(await virsh('dumpxml', 'm'), /<title>Another<\/title>/)
})

await clientTest('virsh and vmexit ps know the same machines', async (t) => {
  const bench = await Bench.open(t)
  const { virsh } = bound(bench)
  const vmexit = async (...words: string[]): Promise<any> => {
    const [code, document] = await vmexitJson([...words, '--runtime', bench.runtime])
    t.is(code, 0, JSON.stringify(document))
    return document
  }
  await virsh('define', bench.document('one'))
  const definition = { name: 'two', pc: true, payload: { file: bench.kernel } }
  writeFileSync(join(bench.folder, 'two.json'), JSON.stringify(definition))
  await vmexit('define', join(bench.folder, 'two.json'))
  await vmexit('start', 'one')
  await virsh('start', 'two')
  const { machines } = await vmexit('ps')
  const uuids = [await virsh('domuuid', 'one'), await virsh('domuuid', 'two')]
  t.deepEqual(
    machines.map(({ name, uuid, state }: Record<string, string>) => [name, uuid, state]),
    [
      ['one', uuids[0], 'running'],
      ['two', uuids[1], 'running'],
    ],
  )
  t.deepEqual((await virsh('list', '--name')).split('\n'), ['one', 'two'])
})

await clientTest('virsh lists what a machine that runs is and costs', async (t) => {
  const bench = await Bench.open(t)
  const { virsh } = bound(bench)
  await virsh('define', bench.document('m'))
  await virsh('start', 'm')
  await said(bench, 'm', greeting)
  t.regex(await virsh('list'), /^ \d+ +m +running$/m)
  t.is(await virsh('domstate', 'm', '--reason'), 'running (booted)')
  t.regex(await virsh('dominfo', 'm'), /^CPU time: +\d+\.\d+s$/m)
  t.regex(await virsh('dommemstat', 'm'), /^actual 16384\nrss [1-9]\d*$/m)
  t.regex(await virsh('vcpucount', 'm'), /^current +live +1$/m)
  t.regex(await virsh('vcpuinfo', 'm'), /^VCPU: +0\n[^]*State: +running\n/)
  const stats = await virsh('domstats')
  t.regex(stats, /^ {2}state\.state=1$/m)
  t.regex(stats, /^ {2}cpu\.time=[1-9]\d*$/m)
  t.regex(stats, /^ {2}balloon\.current=16384$/m)
  t.regex(stats, /^ {2}vcpu\.current=1$/m)
  t.regex(stats, /^ {2}vmexit\.exits=[1-9]\d*$/m)
  t.regex(stats, /^ {2}vmexit\.exits\.pio-out=[1-9]\d*$/m)
  t.regex(await virsh('dumpxml', 'm'), /^<domain type='vmexit' id='\d+'>/)
  t.regex(await virsh('domdisplay', 'm'), /screen\.sock/)
  t.regex(await bench.refused('start', 'm'), /already active|runs already/)
  t.regex(await bench.refused('undefine', 'm'), /running|kill/)
})

await clientTest('virsh event sees every transition in its order', async (t) => {
  const bench = await Bench.open(t)
  const { virsh } = bound(bench)
  const events = await bench.background('event', '--all', '--loop')
  // It says nothing when it has begun to listen.
  await virsh('define', bench.document('first'))
  while (!/'first'/.test(events.text())) await virsh('define', bench.document('first'))
  await virsh('define', bench.document('last'))
  await events.until(/'last'[^\n]*\n/)
  const seen = events.text().length
  const steps: readonly (readonly [string[], RegExp])[] = [
    [['define', bench.document('m')], /Defined Added/],
    [['start', 'm'], /Started Booted/],
    [['suspend', 'm'], /Suspended Paused/],
    [['resume', 'm'], /Resumed Unpaused/],
    [['reset', 'm'], /reboot/],
    [['reboot', 'm'], /reboot/],
    [['shutdown', 'm'], /Shutdown Finished[^]*\n[^]*Stopped Shutdown/],
    [['start', 'm'], /Started Booted/],
    [['destroy', 'm'], /Stopped Destroyed/],
    [['define', bench.document('m', { more: '<title>x</title>' })], /Defined Updated/],
    [['undefine', 'm'], /Undefined Removed/],
  ]
  let at = seen
  for (const [words, expected] of steps) {
    await virsh(...words)
    const from = at
    t.true(
      await until(() => expected.test(events.text().slice(from))),
      `${words.join(' ')}: ${events.text().slice(from)}`,
    )
    at = events.text().length
  }
  const told = [
    ...events
      .text()
      .slice(seen)
      .matchAll(/'(lifecycle|reboot)'[^:\n]*:? ?([^\n]*)/g),
  ]
  t.deepEqual(
    told.map(([, kind, detail]) => (kind === 'reboot' ? 'reboot' : detail)),
    [
      ...['Defined Added', 'Started Booted', 'Suspended Paused', 'Resumed Unpaused'],
      ...['reboot', 'reboot', 'Shutdown Finished', 'Stopped Shutdown'],
      ...['Started Booted', 'Stopped Destroyed', 'Defined Updated', 'Undefined Removed'],
    ],
  )
})

await clientTest('virsh console shows what was said before, and types', async (t) => {
  const bench = await Bench.open(t)
  const { virsh } = bound(bench)
  await virsh('define', bench.document('m'))
  await virsh('start', 'm')
  await said(bench, 'm', greeting)
  const console = await bench.terminal('console', 'm')
  await console.until(/Escape character/)
  await console.until(/ready/)
  console.type('hello+')
  await console.until(/hello1/)
  await virsh('send-key', 'm', 'KEY_A')
  await console.until(/k1e/)
  await virsh('send-key', 'm', '--codeset', 'usb', '0x05')
  await console.until(/k30/)
  await virsh('inject-nmi', 'm')
  await console.until(/N/)
  await virsh('shutdown', 'm')
  t.true(await until(() => bench.supervisor.find('m').state === 'ended'))
  t.is(await virsh('domstate', 'm', '--reason'), 'shut off (shutdown)')
})

await clientTest('virsh screenshot gets a picture of the screen', async (t) => {
  const bench = await Bench.open(t)
  const { virsh } = bound(bench)
  await virsh('define', bench.document('m'))
  await virsh('start', 'm')
  await said(bench, 'm', greeting)
  const file = join(bench.folder, 'screen.png')
  t.regex(await virsh('screenshot', 'm', file), /type of image\/png/)
  const png = readFileSync(file)
  t.is(png.subarray(1, 4).toString(), 'PNG')
  t.deepEqual(png, Buffer.from(await bench.supervisor.screenshot('m')), 'nothing moves on it')
})

await clientTest('a screen at a port that was free is shown with its number', async (t) => {
  const bench = await Bench.open(t)
  const { virsh } = bound(bench)
  const port = `port='-1' autoport='yes'`
  const xml = readFileSync(bench.document('m'), 'utf8').replace(
    `<graphics type='vnc'/>`,
    `<graphics type='vnc' ${port} passwd='secret'/>`,
  )
  writeFileSync(join(bench.folder, 'm.xml'), xml)
  await virsh('define', join(bench.folder, 'm.xml'))
  t.regex(await virsh('dumpxml', 'm'), /port='-1' autoport='yes'/)
  await virsh('start', 'm')
  const [, number] = /port='(\d+)' autoport='yes'/.exec(await virsh('dumpxml', 'm')) ?? []
  t.is(await rfbGreeting(Number(number)), 'RFB 003.008\n')
  const display = Number(number) - 5900
  t.is(await virsh('vncdisplay', 'm'), `127.0.0.1:${display}`)
  t.regex(await virsh('dumpxml', 'm', '--inactive'), /port='-1' autoport='yes'/)
})

await clientTest('virt-install imports a disk, and virt-xml changes its machine', async (t) => {
  const bench = await Bench.open(t)
  const { virsh } = bound(bench)
  const disk = join(bench.folder, 'disk.img')
  writeFileSync(disk, Buffer.alloc(1 << 20))
  const { code, stderr } = await bench.client(
    ...['virt-install', '--name', 'm', '--memory', '16', '--import', '--disk', disk],
    ...['--network', 'none', '--graphics', 'vnc', '--boot', `kernel=${bench.kernel}`],
    ...['--noautoconsole', '--osinfo', 'detect=off,require=off'],
  )
  t.is(code, 0, stderr)
  t.is(await virsh('domstate', 'm'), 'running')
  t.regex(await virsh('dominfo', 'm'), /^Persistent: +yes$/m)
  t.regex(await virsh('domblklist', 'm'), /^ vda +\S+disk\.img$/m)
  t.regex(await virsh('domblkinfo', 'm', 'vda'), /^Capacity: +1048576$/m)
  const edited = await bench.client('virt-xml', 'm', '--edit', '--memory', '32', '--define')
  t.is(edited.code, 0, edited.stderr)
  await virsh('destroy', 'm')
  t.regex(await virsh('dominfo', 'm'), /^Max memory: +32768 KiB$/m)
  t.deepEqual(bench.supervisor.find('m').definition.disks, [{ file: disk }])
})

await clientTest('managed save keeps what a guest knows, and undefine asks about it', async (t) => {
  const bench = await Bench.open(t)
  const { virsh } = bound(bench)
  await virsh('define', bench.document('m'))
  await virsh('start', 'm')
  await counted(bench, 'm', 1)
  await virsh('managedsave', 'm')
  t.is(await virsh('domstate', 'm', '--reason'), 'shut off (saved)')
  t.regex(await virsh('dominfo', 'm'), /^Managed save: +yes$/m)
  t.regex(await bench.refused('undefine', 'm'), /saved state|managed save/)
  await virsh('start', 'm')
  await counted(bench, 'm', 2)
  await virsh('managedsave', 'm')
  await virsh('managedsave-remove', 'm')
  await virsh('start', 'm')
  await counted(bench, 'm', 1)
  await virsh('managedsave', 'm')
  await virsh('undefine', 'm', '--managed-save')
  t.is(await virsh('list', '--all', '--name'), '')
})

await clientTest('a snapshot brings back what a guest knew', async (t) => {
  const bench = await Bench.open(t)
  const { virsh } = bound(bench)
  await virsh('define', bench.document('m'))
  await virsh('start', 'm')
  await counted(bench, 'm', 1)
  await virsh('snapshot-create-as', 'm', 'one', '--description', 'the first')
  await counted(bench, 'm', 2)
  t.regex(await virsh('snapshot-create', 'm'), /Domain snapshot \d+ created/)
  const list = await virsh('snapshot-list', 'm')
  t.regex(list, /^ one +\d{4}-\d\d-\d\d .* running$/m)
  t.is([...list.matchAll(/ running$/gm)].length, 2)
  t.regex(await virsh('snapshot-dumpxml', 'm', 'one'), /<description>the first<\/description>/)
  await virsh('snapshot-revert', 'm', 'one')
  t.is(await virsh('snapshot-current', 'm', '--name'), 'one')
  await counted(bench, 'm', 2)
  await virsh('destroy', 'm')
  await virsh('snapshot-revert', 'm', 'one')
  t.is(await virsh('domstate', 'm'), 'running')
  await counted(bench, 'm', 2)
  await virsh('destroy', 'm')
  t.regex(await bench.refused('undefine', 'm'), /2 snapshots/)
  await virsh('snapshot-delete', 'm', 'one')
  t.regex(await bench.refused('snapshot-revert', 'm', 'one'), /no snapshot|snapshot not found/i)
  await virsh('undefine', 'm', '--snapshots-metadata')
})

await clientTest('autostart is the same for virsh and the supervisor', async (t) => {
  const bench = await Bench.open(t)
  const { virsh } = bound(bench)
  await virsh('define', bench.document('m'))
  await virsh('autostart', 'm')
  t.true(bench.supervisor.find('m').autostart)
  t.regex(await virsh('dominfo', 'm'), /^Autostart: +enable$/m)
  await virsh('autostart', 'm', '--disable')
  t.false(bench.supervisor.find('m').autostart)
})

await clientTest('dumpxml and define leave what is stored as it is, byte for byte', async (t) => {
  const bench = await Bench.open(t)
  const { virsh } = bound(bench)
  await bench.supervisor.define(
    {
      name: 'local',
      pc: true,
      screen: { width: 640, height: 480 },
      memoryBytes: '0x1000000',
      payload: { file: bench.kernel, format: 'multiboot' },
      routes: [{ port: '0xe9', to: 'console' }],
      module: join(bench.folder, 'devices.mjs'),
      manager: { vnc: { password: 'secret' }, restart: 'on-failure', group: 'small' },
    },
    { from: 'local' },
  )
  await virsh('define', bench.document('xml', { devices: `<sound model='ich9'/>` }))
  for (const name of ['local', 'xml']) {
    const file = join(bench.state, 'machines', name, 'machine.json')
    const before = readFileSync(file, 'utf8')
    const document = await virsh('dumpxml', name)
    t.notRegex(document, /secret/)
    writeFileSync(join(bench.folder, 'dump.xml'), document)
    await virsh('define', join(bench.folder, 'dump.xml'))
    t.is(readFileSync(file, 'utf8'), before)
    t.is(await virsh('dumpxml', name), document)
  }
  t.regex(await virsh('dumpxml', 'local', '--security-info'), /passwd='secret'/)
  t.regex(await virsh('dumpxml', 'xml'), /<sound model='ich9'\/>/)
})

await clientTest('what virsh may not do, it is told', async (t) => {
  const bench = await Bench.open(t)
  const { virsh } = bound(bench)
  const module = `<vmexit:definition xmlns:vmexit='x'>{"module":"/tmp/x.mjs"}</vmexit:definition>`
  t.regex(await bench.refused('define', bench.document('m', { more: module })), /module/)
  const spice = bench.document('m', { devices: `<graphics type='spice'/>` })
  t.regex(await bench.refused('define', spice), /graphics/)
  t.regex(await bench.refused('dominfo', 'nobody'), /failed to get domain 'nobody'/)
  await virsh('define', bench.document('m'))
  t.regex(await bench.refused('suspend', 'm'), /start it first|not running|does not run/)
  t.regex(await bench.refused('setvcpus', 'm', '2', '--config'), /virsh edit/)
  t.regex(await bench.refused('-r', 'start', 'm'), /read.only|forbidden/i)
  t.regex(await bench.refused('-r', 'dumpxml', 'm', '--security-info'), /read|forbidden/i)
})

await clientTest('virsh create makes a machine that is gone when it ends', async (t) => {
  const bench = await Bench.open(t)
  const { virsh } = bound(bench)
  await virsh('create', bench.document('m'))
  t.regex(await virsh('dominfo', 'm'), /^Persistent: +no$/m)
  await virsh('destroy', 'm')
  t.true(await until(() => bench.supervisor.list().length === 0))
  await virsh('create', '--paused', bench.document('p'))
  t.is(await virsh('domstate', 'p'), 'paused')
  await virsh('define', bench.document('p'))
  t.regex(await virsh('dominfo', 'p'), /^Persistent: +yes$/m)
  await virsh('destroy', 'p')
  t.regex(await virsh('list', '--all'), /^ - +p +shut off$/m)
})

function bound(bench: Bench): { readonly virsh: (...words: string[]) => Promise<string> } {
  return { virsh: (...words) => bench.virsh(...words) }
}

/** What a server of a screen says first. */
function rfbGreeting(port: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1')
    socket.once('error', reject)
    socket.once('data', (chunk) => {
      socket.destroy()
      resolve(chunk.toString('latin1'))
    })
  })
}

/** Waits until a machine has said something. */
async function said(bench: Bench, name: string, text: string): Promise<void> {
  const found = async (): Promise<boolean> =>
    Buffer.from(await bench.supervisor.log(name))
      .toString('latin1')
      .includes(text)
  let isFound = false
  await until(
    () => isFound,
    300_000,
    async () => {
      isFound = await found()
    },
  )
}

/** Has a guest count once more, which gives this number. */
async function counted(bench: Bench, name: string, expected: number): Promise<void> {
  const count = async (): Promise<number> => (await bench.supervisor.memory(name, countGpa, 1))[0]!
  const console = await bench.supervisor.console(name)
  console.write('+')
  let now = -1
  await until(
    () => now === expected,
    300_000,
    async () => {
      now = await count()
    },
  )
  console.destroy()
  if (now !== expected) throw new Error(`the guest counts ${now}, not ${expected}`)
}
