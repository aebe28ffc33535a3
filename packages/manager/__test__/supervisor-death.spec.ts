import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import type { Duplex } from 'node:stream'

import test, { type ExecutionContext } from 'ava'
import type { MachineDefinition } from 'vmexit'

import { until } from '../../../__test__/fixtures/until.ts'
import { kvmTest } from '../../../__test__/helpers/kvm.ts'
import type { ManagerEvent } from '../src/supervisor/interface.ts'
import { daemonProcess } from './helpers/daemon.ts'
import { echoing, type Place, place, sleeper, supervise } from './helpers/supervised.ts'

/** So many machines, most of them in groups, since each process costs memory. */
const fleet = (there: Place, alone: number, groups: number, each: number): MachineDefinition[] => {
  const base = sleeper(there)
  const own = Array.from({ length: alone }, (_, index) => ({ name: `own-${index}`, ...base }))
  const shared = Array.from({ length: groups * each }, (_, index) => {
    const group = `g${index % groups}`
    return { name: `${group}-${Math.floor(index / groups)}`, ...base, manager: { group } }
  })
  return [...own, ...shared]
}

/** Waits until a stream has given the text. */
async function reads(stream: Duplex, text: string): Promise<boolean> {
  let all = ''
  stream.on('data', (bytes: Buffer) => (all += bytes.toString('latin1')))
  return until(() => all.includes(text))
}

kvmTest('the death of one machine of 50 is told, and the others run on', async (t) => {
  const there = place(t)
  const { supervisor, events } = await supervise(t, there)
  const definitions = fleet(there, 6, 4, 11)
  t.is(definitions.length, 50)
  for (const each of definitions) await supervisor.define(each, { from: 'local' })
  await Promise.all(definitions.map(({ name }) => supervisor.start(name!)))
  t.is(there.pids().length, 10)

  process.kill(supervisor.find('own-3').pid!, 'SIGKILL')
  t.true(await until(() => supervisor.find('own-3').state === 'crashed'))
  t.is(supervisor.find('own-3').reason, 'SIGKILL')
  t.like(events.at(-1), { machine: 'own-3', type: 'crashed', reason: 'SIGKILL' })
  const others = supervisor.list().filter(({ name }) => name !== 'own-3')
  t.deepEqual([...new Set(others.map(({ state }) => state))], ['running'])
  t.is(others.length, 49)
  for (const { name } of others) t.is((await supervisor.memory(name, 0, 1))[0], 0xfa)

  // One of a group is killed as others are, and its group goes on.
  t.is((await supervisor.kill('g1-3')).state, 'ended')
  t.is(supervisor.list().filter(({ state }) => state === 'running').length, 48)
  // A group that dies takes its machines with it, and no others.
  process.kill(supervisor.find('g2-0').pid!, 'SIGKILL')
  const inGroup = (): string[] =>
    supervisor.list().flatMap(({ name, state }) => (name.startsWith('g2-') ? [state] : []))
  t.true(await until(() => inGroup().every((state) => state === 'crashed')))
  t.is(supervisor.list().filter(({ state }) => state === 'running').length, 37)
  t.is((await supervisor.start('g2-5')).state, 'running')
})

kvmTest('machines outlive a killed daemon; the next has their consoles and history', async (t) => {
  const there = place(t)
  const machines = [{ name: 'talker', ...echoing(there) }, ...fleet(there, 2, 1, 3)]
  const daemon = await daemonProcess(t, there, machines)
  const before = there.pids().toSorted((a, b) => a - b)
  t.is(before.length, 4)
  await daemon.end('SIGKILL')

  // What happens in the meantime is told afterwards.
  const first = JSON.parse(readFileSync(`${there.runtime}/own-1/pid`, 'utf8')) as { pid: number }
  process.kill(first.pid, 'SIGKILL')
  t.true(await until(() => !there.pids().includes(first.pid)))
  const { supervisor } = await supervise(t, there)
  const missed: ManagerEvent[] = []
  supervisor.onEvent((event) => missed.push(event), daemon.seq)
  t.deepEqual(
    missed.map(({ machine, type }) => [machine, type]),
    [['own-1', 'crashed']],
  )
  const running = supervisor.list().filter(({ state }) => state === 'running')
  t.deepEqual(
    running.map(({ name }) => name),
    ['g0-0', 'g0-1', 'g0-2', 'own-0', 'talker'],
  )
  t.deepEqual(
    [...new Set(running.map(({ pid }) => pid!))].toSorted((a, b) => a - b),
    before.filter((pid) => pid !== first.pid),
  )
  const history: string[] = []
  supervisor.onEvent(({ machine, type }) => machine === 'own-0' && history.push(type), 0)
  t.deepEqual(history, ['defined', 'starting', 'running'])

  const console = await supervisor.console('talker')
  t.true(await reads(console, '>'))
  console.write('hello')
  t.true(await reads(console, 'hello'))
  console.destroy()
  // The file follows what is sent.
  let kept = ''
  const look = async (): Promise<void> => {
    kept = Buffer.from(await supervisor.log('talker')).toString()
  }
  t.true(await until(() => kept === '>hello', undefined, look), kept)
  t.is((await supervisor.stop('talker')).reason, 'power-off')
  t.is((await supervisor.kill('g0-1')).state, 'ended')
  t.is(supervisor.find('g0-2').state, 'running')
  // A machine that joins the group finds its process.
  t.is((await supervisor.start('g0-1')).pid, supervisor.find('g0-2').pid)
})

kvmTest('a signal ends a daemon, and no machine', async (t) => {
  const there = place(t)
  const daemon = await daemonProcess(t, there, fleet(there, 1, 1, 1))
  t.is(await daemon.end('SIGTERM'), 0)
  t.is(there.pids().length, 2)
  t.deepEqual(
    readdirSync(there.runtime).filter((name) => name.endsWith('.sock')),
    [],
  )
  const { supervisor } = await supervise(t, there)
  t.deepEqual(
    supervisor.list().map(({ state }) => state),
    ['running', 'running'],
  )
})

/** What of a process has to do with KVM. */
function kvmOf(pid: number): string[] {
  const maps = readFileSync(`/proc/${pid}/maps`, 'utf8').split('\n')
  const addon = maps.filter((line) => /vmexit[^/]*\.node$|kvm-v/.test(line))
  const open = readdirSync(`/proc/${pid}/fd`).flatMap((fd) => {
    try {
      return [readlinkSync(`/proc/${pid}/fd/${fd}`)]
    } catch {
      return []
    }
  })
  return [...addon, ...open.filter((path) => path.includes('kvm'))]
}

kvmTest('a daemon has no KVM, and its machines have', async (t) => {
  const there = place(t)
  const daemon = await daemonProcess(t, there, [{ name: 'own', ...sleeper(there) }])
  t.deepEqual(kvmOf(daemon.child.pid!), [])
  // The test would see it.
  t.true(kvmOf(there.pids()[0]!).length > 1)
})

test('a second daemon names the first, and what is left of a killed one is no hindrance', async (t) => {
  const there = place(t)
  const first = await daemonProcess(t, there)
  const refused = async (context: ExecutionContext): Promise<string> =>
    (await context.throwsAsync(daemonProcess(context, there)))?.message ?? ''
  const said = await refused(t)
  t.regex(said, new RegExp(`process ID ${first.child.pid}`))
  t.regex(said, /end it, or give another/)
  await first.end('SIGKILL')
  t.deepEqual(
    readdirSync(there.runtime).filter((name) => name.endsWith('.sock')),
    ['api.sock', 'libvirt.sock'],
  )
  const next = await daemonProcess(t, there)
  t.is(next.api, `${there.runtime}/api.sock`)
  t.is(await next.end('SIGINT'), 0)
})
