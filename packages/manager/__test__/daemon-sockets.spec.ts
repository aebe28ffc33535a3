import { createServer } from 'node:net'

import test from 'ava'

import { pathOf } from '../src/daemon/front-ends.ts'
import { place } from './helpers/supervised.ts'

test('a socket that was handed over is called by its path', async (t) => {
  const { runtime } = place(t)
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(`${runtime}/api.sock`, resolve))
  const { fd } = Reflect.get(server, '_handle') as { fd: number }
  t.is(pathOf(fd), `${runtime}/api.sock`)
  t.is(pathOf(0), undefined)
  await new Promise((resolve) => server.close(resolve))
})
