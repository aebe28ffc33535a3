// libvirt's protocol before real machines: what clients are told, in order, and consoles.
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'

import type { ExecutionContext } from 'ava'

import { until } from '../../../__test__/fixtures/until.ts'
import { kvmTest } from '../../../__test__/helpers/kvm.ts'
import { startDaemon } from '../dist/index.js'
import { STATUS } from '../src/libvirt/rpc/frames.ts'
import { messages } from '../src/libvirt/xdr/events.ts'
import { procedures } from '../src/libvirt/xdr/procedures.ts'
import { decode } from '../src/libvirt/xdr/shapes.ts'
import type { Domain } from '../src/libvirt/xdr/types.ts'
import { temporary } from './helpers/folder.ts'
import { LibvirtClient, type Came } from './helpers/libvirt-client.ts'

/*
 * b0 3e        mov al,'>'
 * ba f8 03     mov dx,0x3f8
 * ee           out dx,al
 * ba fd 03     mov dx,0x3fd     ; what is typed is sent back
 * ec           in al,dx
 * a8 01        test al,1
 * 74 05        jz +5
 * ba f8 03     mov dx,0x3f8
 * ec           in al,dx
 * ee           out dx,al
 * ba 00 06     mov dx,0x600     ; the power button turns it off
 * ed           in ax,dx
 * f6 c4 01     test ah,1
 * 74 ea        jz -22
 * ba 04 06     mov dx,0x604
 * b8 00 20     mov ax,0x2000
 * ef           out dx,ax
 * f4           hlt
 */
const ECHO = 'b03ebaf803eebafd03eca8017405baf803eceeba0006edf6c40174eaba0406b80020eff4'

interface Setup {
  readonly client: LibvirtClient
  readonly dom: Domain
  readonly daemon: Awaited<ReturnType<typeof startDaemon>>
  /** What was told of machines, by the numbers of the protocol. */
  told(): string
}

function shown({ procedure, payload }: Came): string[] {
  if (procedure === messages.domainEventCallbackReboot.number) return ['reboot']
  if (procedure !== messages.domainEventCallbackLifecycle.number) return []
  const { msg } = decode(messages.domainEventCallbackLifecycle.body, payload)
  return [`${msg.event}/${msg.detail}`]
}

async function setUp(t: ExecutionContext): Promise<Setup> {
  const folder = temporary(t)
  const file = join(folder, 'echo.bin')
  writeFileSync(file, Buffer.from(ECHO, 'hex'))
  const [state, runtime] = [join(folder, 's'), join(folder, 'r')]
  const daemon = await startDaemon({ state, runtime })
  const { supervisor, libvirt } = daemon
  t.teardown(async () => {
    const running = supervisor.list().filter(({ pid }) => pid !== undefined)
    await Promise.allSettled(running.map(({ name }) => supervisor.kill(name)))
    await daemon.close()
  })
  const client = await LibvirtClient.open(libvirt)
  t.teardown(() => client[Symbol.dispose]())
  for (const eventID of [0, 1]) {
    const register = procedures.connectDomainEventCallbackRegisterAny
    await client.call(register, { eventID, dom: undefined })
  }
  const payload = { file, format: 'flat' }
  const definition = { name: 'echo', mode: 'real', pc: true, memoryBytes: 2 ** 20, payload }
  const { name, uuid } = await supervisor.define(definition, { from: 'local' })
  const told = (): string => client.told.flatMap(shown).join(' ')
  return { client, daemon, dom: { name, uuid, id: -1 }, told }
}

kvmTest('every transition of a machine is told in its order', async (t) => {
  t.timeout(900_000)
  const { client, daemon, dom, told } = await setUp(t)
  let all = '0/0'
  const expect = async (next: string, step: Promise<unknown>): Promise<void> => {
    await step
    all = `${all} ${next}`
    t.true(await until(() => told().length >= all.length), `${told()}, and not ${all}`)
    t.is(told(), all)
  }
  const flags = 0
  const start = (): Promise<unknown> => client.call(procedures.domainCreate, { dom })
  await expect('2/0', start())
  await expect('3/0', client.call(procedures.domainSuspend, { dom }))
  await expect('4/0', client.call(procedures.domainResume, { dom }))
  await expect('reboot', client.call(procedures.domainReset, { dom, flags }))
  await expect('6/0 5/0', client.call(procedures.domainShutdown, { dom }))
  await expect('2/0 3/0', client.call(procedures.domainCreateWithFlags, { dom, flags: 1 }))
  await expect('5/1', client.call(procedures.domainDestroy, { dom }))
  await expect('2/0', start())
  await expect('3/0 5/4', client.call(procedures.domainManagedSave, { dom, flags }))
  await expect('2/2', start())
  const xml_desc = '<domainsnapshot><name>a</name></domainsnapshot>'
  await client.call(procedures.domainSnapshotCreateXml, { dom, xml_desc, flags })
  const snap = { name: 'a', dom }
  await expect('4/2', client.call(procedures.domainRevertToSnapshot, { snap, flags }))
  const { pid = 0 } = daemon.supervisor.find('echo')
  await expect('5/2', Promise.resolve(process.kill(pid, 'SIGKILL')))
  await expect('2/3', client.call(procedures.domainRevertToSnapshot, { snap, flags }))
  await expect('5/1', client.call(procedures.domainDestroy, { dom }))
  // VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA
  await expect('1/0', client.call(procedures.domainUndefineFlags, { dom, flags: 2 }))
})

kvmTest('consoles of a machine replay what it said, and sixty read what one types', async (t) => {
  t.timeout(900_000)
  const { client, daemon, dom } = await setUp(t)
  await client.call(procedures.domainCreate, { dom })
  const open = procedures.domainOpenConsole
  const console = { dom, dev_name: undefined, flags: 0 }
  await client.call(open, console)
  const { serial } = client
  t.true(await until(() => client.streamed(serial).text === '>'))
  const more = await Promise.all(
    Array.from({ length: 60 }, async () => {
      const reader = await LibvirtClient.open(daemon.libvirt)
      t.teardown(() => reader[Symbol.dispose]())
      await reader.call(open, console)
      return { reader, serial: reader.serial }
    }),
  )
  client.stream(open.number, serial, STATUS.continue, Buffer.from('typed'))
  const readers = [{ reader: client, serial }, ...more]
  const texts = (): string[] => readers.map((each) => each.reader.streamed(each.serial).text)
  t.true(await until(() => texts().every((text) => text === '>typed')), texts().join(' '))
  client.stream(open.number, serial, STATUS.error)
  t.true(await until(() => client.streamed(serial).statuses.at(-1) === STATUS.ok))
  await client.call(procedures.domainDestroy, { dom })
  const last = ({ reader, serial: of }: (typeof more)[number]) =>
    reader.streamed(of).statuses.at(-1)
  // An empty message: nothing more comes.
  t.true(await until(() => more.every((each) => last(each) === STATUS.continue)))
})
