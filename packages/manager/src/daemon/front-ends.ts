import { fstatSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'

import { type HttpOptions, serveHttp } from '../http/server.ts'
import { serveLibvirt } from '../libvirt/server.ts'
import type { DaemonSockets } from '../paths/index.ts'
import type { FrontEnd } from '../supervisor/front-end.ts'
import type { Supervisor } from '../supervisor/interface.ts'
import { keyIn } from '../web/key.ts'
import { WebScreen } from '../web/screen.ts'
import type { DaemonOptions } from './options.ts'

/** The front ends of a daemon. */
export interface FrontEnds {
  /** HTTP at a Unix socket. */
  readonly api: FrontEnd
  /** libvirt's protocol. */
  readonly libvirt: FrontEnd
  /** HTTP by TCP. */
  readonly tcp?: FrontEnd
  /** A URL of the screen for browsers, each good once. */
  readonly webUrl?: () => string
  /** All of them. */
  readonly all: readonly FrontEnd[]
}

const { version } = createRequire(import.meta.url)('../../package.json') as { version: string }

/** Opens them; if one cannot be opened, the others are closed. */
export async function openFrontEnds(
  supervisor: Supervisor,
  sockets: DaemonSockets & { readonly runtime: string },
  options: DaemonOptions,
): Promise<FrontEnds> {
  const { log, fds = {}, modules, port, token = '', web } = options
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
    const shown = web && (await openWeb(http, web.port, sockets.runtime))
    if (shown) all.push(shown.end)
    const urls = shown && { webUrl: shown.webUrl }
    const local = await opened(serveHttp({ ...http, ...urls }, at(fds.api, sockets.api)))
    const ends = { api: named(local, fds.api), libvirt, all, ...urls }
    if (port === undefined) return ends
    return { ...ends, tcp: await opened(serveHttp(http, { port, token })) }
  } catch (error) {
    await Promise.allSettled(all.map((end) => end.close()))
    throw error
  }
}

async function openWeb(http: HttpOptions, port: number, runtime: string) {
  const face = new WebScreen(keyIn(join(runtime, 'web.key')))
  const end = await serveHttp(http, { port, face })
  return { end, webUrl: () => face.url(end.address) }
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
