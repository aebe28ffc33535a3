import { createRequire } from 'node:module'

import { serveHttp } from '../http/server.ts'
import { serveLibvirt } from '../libvirt/server.ts'
import type { DaemonSockets } from '../paths/index.ts'
import type { FrontEnd } from '../supervisor/front-end.ts'
import type { Supervisor } from '../supervisor/interface.ts'
import type { DaemonOptions } from './options.ts'

/** The front ends of a daemon. */
export interface FrontEnds {
  /** HTTP at a Unix socket. */
  readonly api: FrontEnd
  /** libvirt's protocol. */
  readonly libvirt: FrontEnd
  /** HTTP by TCP. */
  readonly tcp?: FrontEnd
  /** All of them. */
  readonly all: readonly FrontEnd[]
}

const { version } = createRequire(import.meta.url)('../../package.json') as { version: string }

/** Opens them; if one cannot be opened, the others are closed. */
export async function openFrontEnds(
  supervisor: Supervisor,
  sockets: DaemonSockets,
  options: DaemonOptions,
): Promise<FrontEnds> {
  const { log, fds = {} } = options
  const all: FrontEnd[] = []
  const opened = async (opening: Promise<FrontEnd>): Promise<FrontEnd> => {
    const end = await opening
    all.push(end)
    return end
  }
  try {
    const libvirt = await opened(
      serveLibvirt(
        { supervisor, version, ...(log ? { log } : {}) },
        at(fds.libvirt, sockets.libvirt),
      ),
    )
    const http = { supervisor, version, ...(options.modules ? { modules: options.modules } : {}) }
    const api = await opened(serveHttp(http, at(fds.api, sockets.api)))
    const { port, token } = options
    if (port === undefined || token === undefined) return { api, libvirt, all }
    return { api, libvirt, tcp: await opened(serveHttp(http, { port, token })), all }
  } catch (error) {
    await Promise.allSettled(all.map((end) => end.close()))
    throw error
  }
}

function at(fd: number | undefined, path: string): { path: string } | { fd: number } {
  return fd === undefined ? { path } : { fd }
}
