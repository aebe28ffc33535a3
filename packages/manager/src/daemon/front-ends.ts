import { fstatSync, readFileSync } from 'node:fs'
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
    const libvirt = named(
      await opened(serveLibvirt(rpc, at(fds.libvirt, sockets.libvirt))),
      fds.libvirt,
    )
    const api = named(await opened(serveHttp(http, at(fds.api, sockets.api))), fds.api)
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

/** A front end on a socket that was handed over, by the path that clients need. */
function named(end: FrontEnd, fd: number | undefined): FrontEnd {
  const address = fd === undefined ? undefined : pathOf(fd)
  if (address === undefined) return end
  return { address, close: () => end.close(), counts: () => end.counts() }
}

/** The path of a Unix socket that this process has open; undefined if it has none. */
export function pathOf(fd: number): string | undefined {
  const inode = String(fstatSync(fd).ino)
  // Num RefCount Protocol Flags Type St Inode Path (proc(5)).
  const lines = readFileSync('/proc/net/unix', 'utf8').split('\n')
  const fields = lines.map((line) => /^(?:\S+ +){6}(\d+) (\/.*)$/.exec(line))
  return fields.find((found) => found?.[1] === inode)?.[2]
}
