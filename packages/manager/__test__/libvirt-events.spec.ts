// What happens to machines, as libvirt's clients are told of it.
import test from 'ava'

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
