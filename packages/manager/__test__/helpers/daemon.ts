// Daemons in processes of their own, which end with the test.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

import type { ExecutionContext } from 'ava'
import type { MachineDefinition } from 'vmexit'

import type { Place } from './supervised.ts'

const program = fileURLToPath(new URL('../fixtures/daemon.mjs', import.meta.url))

/** A daemon that is ready, and has started its machines. */
export interface DaemonProcess {
  readonly child: ChildProcess
  readonly api: string
  readonly libvirt: string
  /** The number of its last event then. */
  readonly seq: number
  /** Ends it by a signal; resolves when it is gone, with its exit code. */
  end(signal: NodeJS.Signals): Promise<number | null>
}

/** Begins one; rejects with what it said when it does not become ready. */
export async function daemonProcess(
  t: ExecutionContext,
  { state, runtime }: Place,
  definitions: readonly MachineDefinition[] = [],
): Promise<DaemonProcess> {
  const args = [program, state, runtime, JSON.stringify(definitions)]
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] })
  t.teardown(() => child.kill('SIGKILL'))
  let said = ''
  child.stderr!.on('data', (text: Buffer) => (said += text.toString()))
  const exit = once(child, 'exit') as Promise<[number | null]>
  const line = await Promise.race([
    once(child.stdout!, 'data').then(([text]) => String(text)),
    exit.then(([code]): never => {
      throw new Error(`the daemon ended with ${code}: ${said}`)
    }),
  ])
  const end = async (signal: NodeJS.Signals): Promise<number | null> => {
    child.kill(signal)
    return (await exit)[0]
  }
  return { child, ...(JSON.parse(line) as { api: string; libvirt: string; seq: number }), end }
}
