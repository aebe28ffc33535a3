import {
  clearSocket,
  daemonSockets,
  makePrivateDirectory,
  runtimeDirectory,
  stateDirectory,
} from '../paths/index.ts'
import { openStore } from '../store/index.ts'
import { ManagerError } from '../supervisor/errors.ts'
import type { FrontEnd } from '../supervisor/front-end.ts'
import type { Supervisor } from '../supervisor/interface.ts'
import { createSupervisor } from '../supervisor/supervisor.ts'
import { openFrontEnds } from './front-ends.ts'
import type { DaemonOptions } from './options.ts'

export type { DaemonOptions } from './options.ts'

/**
 * A daemon that is ready.
 *
 * @category Manager
 */
export interface Daemon {
  /** Its machines. */
  readonly supervisor: Supervisor
  /** Its socket for HTTP. */
  readonly api: string
  /** Its socket for libvirt's protocol. */
  readonly libvirt: string
  /** Where it serves HTTP by TCP, if it does. */
  readonly url?: string
  /** The URL of the web screen, if there is one, that lets one browser in, once. */
  readonly web?: string
  /** What it holds, by name, for those who look for leaks. */
  counts(): Record<string, number>
  /** Ends it; its machines go on, and the next daemon finds them. */
  close(): Promise<void>
}

/**
 * Starts a daemon in this process: finds the machines that run, serves its sockets, and starts the
 * machines that are to start with it. It opens no KVM: machines run in processes of their own.
 *
 * @example
 * ```ts
 * const daemon = await startDaemon({ state: '/tmp/vmexit-state', runtime: '/tmp/vmexit-run' })
 * console.log(daemon.supervisor.list().length) // 0
 * await daemon.close()
 * ```
 *
 * @category Manager
 */
export async function startDaemon(options: DaemonOptions = {}): Promise<Daemon> {
  const log = options.log ?? ((): void => {})
  checkTcp(options)
  const state = stateDirectory(options.state)
  const runtime = runtimeDirectory(options.runtime)
  const sockets = daemonSockets(runtime)
  const undo: (() => Promise<void>)[] = []
  const close = async (): Promise<void> => {
    for (let step = undo.pop(); step !== undefined; step = undo.pop()) await step()
  }
  try {
    await makePrivateDirectory(runtime, '--runtime')
    const store = await openStore(state)
    undo.push(() => store.close())
    for (const { path, reason, remedy } of store.problems) log(`${path}: ${reason}; ${remedy}`)
    const { api, libvirt } = options.fds ?? {}
    if (api === undefined) await clearSocket(sockets.api)
    if (libvirt === undefined) await clearSocket(sockets.libvirt)
    const { modules } = options
    const own = { store, runtime, log, ...(modules === undefined ? {} : { modules }) }
    const supervisor = await createSupervisor(own)
    undo.push(() => supervisor.close())
    const ends = await openFrontEnds(supervisor, { ...sockets, runtime }, options)
    undo.push(async () => {
      await Promise.all(ends.all.map((end) => end.close()))
    })
    const starting = supervisor.autostart()
    undo.push(() => starting)
    return {
      supervisor,
      api: ends.api.address,
      libvirt: ends.libvirt.address,
      ...(ends.tcp === undefined ? {} : { url: ends.tcp.address }),
      ...(ends.webUrl === undefined ? {} : { web: ends.webUrl() }),
      counts: () => counted(supervisor.counts(), ends.all),
      close,
    }
  } catch (error) {
    await close()
    throw error
  }
}

function checkTcp({ port, token }: DaemonOptions): void {
  if (port !== undefined && (token === undefined || token === '')) {
    const message = 'port needs a token: whoever reaches the port could do all that you can'
    throw new ManagerError('ERR_INVALID_OPTION', message)
  }
}

function counted(own: Record<string, number>, ends: readonly FrontEnd[]): Record<string, number> {
  const all = { ...own }
  for (const end of ends) {
    for (const [name, count] of Object.entries(end.counts())) all[name] = (all[name] ?? 0) + count
  }
  return all
}
