// What happens to machines, as libvirt's clients are told of it.
import test from 'ava'

import { Callbacks, type DomainEvent } from '../src/libvirt/events/callbacks.ts'
import { eventRows } from '../src/libvirt/events/rows.ts'
import { Translator } from '../src/libvirt/events/lifecycle.ts'
import type { EventType, ManagerEvent } from '../src/supervisor/interface.ts'
import { MemorySupervisor } from './fixtures/supervisor.ts'

type Happened = EventType | readonly [EventType, Partial<ManagerEvent>]

/** Numbers of events and details, as in libvirt's documents. */
const cases: Record<string, { happened: Happened[]; told: string }> = {
  'a definition, a second one and its end': {
    happened: ['defined', 'defined', 'undefined', 'defined'],
    told: '0/0 0/1 1/0 0/0',
  },
  'a start, a pause and a shutdown by the guest': {
    happened: ['starting', 'running', 'paused', 'resumed', ['ended', { reason: 'power-off' }]],
    told: '2/0 3/0 4/0 6/0 5/0',
  },
  'a stop that ends by force': {
    happened: ['starting', 'running', 'stopping', ['ended', { reason: 'stopped' }]],
    told: '2/0 5/1',
  },
  'a start that is paused at once': { happened: ['starting', 'paused'], told: '2/0 3/0' },
  'a start that fails': {
    happened: ['starting', ['crashed', { reason: 'no memory' }], 'starting', 'running'],
    told: '5/5 2/0',
  },
  'a crash, and a restart after it': {
    happened: ['starting', 'running', ['crashed', { reason: 'SIGKILL' }], 'restarting', 'starting'],
    told: '2/0 5/2',
  },
  'a saved state, and a start from it': {
    happened: [
      ...(['starting', 'running', 'paused'] as const),
      ['ended', { reason: 'saved' }],
      ['starting', { from: 'saved' }],
      'running',
    ],
    told: '2/0 3/0 5/4 2/2',
  },
  'a start from a snapshot, and the same in place': {
    happened: [
      ...([['starting', { from: 'snapshot' }], 'running'] as const),
      ['restored', { snapshot: 'a' }],
      ['restored', { snapshot: 'a' }],
    ],
    told: '2/3 4/2',
  },
  'a reset': { happened: ['starting', 'running', 'reset'], told: '2/0 reboot' },
}

for (const [title, { happened, told }] of Object.entries(cases)) {
  test(`libvirt's clients are told of ${title}`, (t) => {
    const translator = new Translator(new MemorySupervisor())
    const common = { seq: 1, at: '', machine: 'one', uuid: 'u' }
    const events = happened.flatMap((each) => {
      const [type, more] = typeof each === 'string' ? [each, {}] : each
      return translator.translate({ ...common, ...more, type })
    })
    const shown = events.map((event) =>
      event.kind === 'reboot' ? 'reboot' : `${event.event}/${event.detail}`,
    )
    t.is(shown.join(' '), told)
  })
}

test('a machine has the id of its run from its start to its end, and else -1', async (t) => {
  const supervisor = new MemorySupervisor()
  const translator = new Translator(supervisor)
  const ids: number[] = []
  supervisor.onEvent((event) => {
    for (const { dom } of translator.translate(event)) ids.push(dom.id)
  })
  await supervisor.define({ name: 'one' })
  await supervisor.start('one')
  await supervisor.kill('one')
  await supervisor.undefine('one')
  t.deepEqual(ids, [-1, 1, 1, -1])
})

const dom = (uuid: string) => ({ name: `n${uuid}`, uuid, id: 1 })
const lifecycle = (uuid: string): DomainEvent => ({
  ...{ kind: 'lifecycle', event: 2, detail: 0 },
  dom: dom(uuid),
})

test('a client is told once for each callback, of the event and the machine that it is for', (t) => {
  const told: [string, unknown][] = []
  const callbacks = new Callbacks(10, ({ name }, body) => void told.push([name, body]))
  const [all, one, reboots] = [
    callbacks.add('domain', 0),
    callbacks.add('domain', 0, 'b'),
    callbacks.add('domain', 1),
  ]
  // Of a machine, and of no network.
  callbacks.add('network', 0)
  callbacks.add('domain', 2)
  const ids = (): unknown[] =>
    told.splice(0).map(([name, body]) => `${name} ${(body as { callbackID: number }).callbackID}`)
  callbacks.deliver(lifecycle('a'))
  t.deepEqual(ids(), [`DOMAIN_EVENT_CALLBACK_LIFECYCLE ${all}`])
  callbacks.deliver(lifecycle('b'))
  const both = [all, one].map((id) => `DOMAIN_EVENT_CALLBACK_LIFECYCLE ${id}`)
  t.deepEqual(ids(), both)
  callbacks.deliver({ kind: 'reboot', dom: dom('a') })
  t.deepEqual(ids(), [`DOMAIN_EVENT_CALLBACK_REBOOT ${reboots}`])
  callbacks.remove('domain', all)
  callbacks.deliver(lifecycle('b'))
  t.deepEqual(ids(), [`DOMAIN_EVENT_CALLBACK_LIFECYCLE ${one}`])
  callbacks.clear()
  callbacks.deliver(lifecycle('b'))
  t.deepEqual(ids(), [])
})

test('callbacks have a bound, and numbers that are not used again', (t) => {
  const callbacks = new Callbacks(3, () => {})
  const ids = [0, 1, 2].map((event) => callbacks.add('domain', event))
  t.throws(() => callbacks.add('network', 0), { message: /may have 3 callbacks/ })
  t.throws(() => callbacks.remove('network', ids[0] as number), { message: /no callback/ })
  callbacks.remove('domain', ids[2] as number)
  t.throws(() => callbacks.remove('domain', ids[2] as number), { message: /no callback/ })
  t.false(ids.includes(callbacks.add('network', 0)))
  t.is(callbacks.count, 3)
})

test('every kind of event of the protocol may be waited for, and no other', (t) => {
  const register = eventRows.find(({ name }) => name.endsWith('CALLBACK_REGISTER_ANY'))!
  const callbacks = new Callbacks(100, () => {})
  const ask = (eventID: number) =>
    register.handler({ callbacks } as never, { eventID }, {} as never)
  for (let event = 0; event < 27; event++) t.deepEqual(ask(event), { callbackID: event + 1 })
  for (const event of [-1, 27, 2 ** 31 - 1]) t.throws(() => ask(event), { message: /no event/ })
})
