// Who hears that a machine runs may ask it at once.
import test from 'ava'

import { kvmTest } from '../../../__test__/helpers/kvm.ts'
import { echoes, served } from './clients/daemon.ts'

kvmTest(
  'a machine that is told to run answers, and its screen has a port',
  async (t) => {
    const daemon = await served(t)
    const { supervisor } = daemon
    const vnc = { password: 'secret' }
    await supervisor.define(echoes('guest', daemon, { vnc }), { from: 'local' })
    const answers: unknown[] = []
    supervisor.onEvent(({ type, machine }) => {
      if (type !== 'running') return
      answers.push(supervisor.stats(machine), supervisor.sockets(machine).vncPort)
    })
    await supervisor.start('guest')
    const [stats, port] = await Promise.all(answers)
    t.like(stats, { vcpus: 1 })
    t.is(typeof port, 'number')
  },
  test.serial,
)
