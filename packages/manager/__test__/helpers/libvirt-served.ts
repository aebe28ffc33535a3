import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

import type { ExecutionContext } from 'ava'

import type { ServerCensus } from '../fixtures/libvirt-server.ts'
import { temporary } from './folder.ts'

const program = fileURLToPath(new URL('../fixtures/libvirt-server.ts', import.meta.url))

/** A front end in a process of its own. */
export interface LibvirtServed {
  readonly path: string
  readonly child: ChildProcess
  census(): Promise<ServerCensus>
}

/** Starts one, at a socket that listens already where there is one; it ends with the test. */
export async function servedApart(
  t: ExecutionContext,
  listening?: { readonly fd: number; readonly path: string },
): Promise<LibvirtServed> {
  const path = listening?.path ?? join(temporary(t), 's')
  const execArgv = ['--import=@oxc-node/core/register', '--expose-gc']
  const passed = listening === undefined ? [] : [listening.fd]
  const stdio = ['ignore', 'inherit', 'inherit', ...passed, 'ipc'] as const
  const args = listening === undefined ? [path] : []
  const child = fork(program, args, { execArgv, stdio: [...stdio] })
  t.teardown(() => child.kill('SIGKILL'))
  const [said] = (await once(child, 'message')) as unknown[]
  if (said !== 'ready') throw new Error(`the server said ${String(said)}`)
  return {
    ...{ path, child },
    async census() {
      child.send('census')
      const [told] = (await once(child, 'message')) as [ServerCensus]
      return told
    },
  }
}
