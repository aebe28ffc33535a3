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
  const { log, fds = {}, modules, port, token = '' } = options
  const http = { supervisor, version, ...(modules === undefined ? {} : { modules }) }
  const rpc = { supervisor, version, ...(log ? { log } : {}) }
  const all: FrontEnd[] = []
  const opened = async (opening: Promise<FrontEnd>): Promise<FrontEnd> => {
    const end = await opening
    all.push(end)
    return end
  }
  try {
    const libvirt = await opened(serveLibvirt(rpc, at(fds.libvirt, sockets.libvirt)))
    const api = await opened(serveHttp(http, at(fds.api, sockets.api)))
    if (port === undefined) return { api, libvirt, all }
    const tcp = await opened(serveHttp(http, { port, token }))
    return { api, libvirt, tcp, all }
  } catch (error) {
    await Promise.allSettled(all.map((end) => end.close()))
    throw error
  }
}

function at(fd: number | undefined, path: string): { path: string } | { fd: number } {
  return fd === undefined ? { path } : { fd }
}
