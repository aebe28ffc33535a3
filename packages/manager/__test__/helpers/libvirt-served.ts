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

/** Starts one; it ends with the test. */
export async function servedApart(t: ExecutionContext): Promise<LibvirtServed> {
  const path = join(temporary(t), 's')
  const execArgv = ['--import=@oxc-node/core/register', '--expose-gc']
  const child = fork(program, [path], { execArgv })
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
