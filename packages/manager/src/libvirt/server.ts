import { chmodSync } from 'node:fs'
import { createServer, type Server, type Socket } from 'node:net'

import type { FrontEnd } from '../supervisor/front-end.ts'
import type { Supervisor } from '../supervisor/interface.ts'
import { Translator } from './events/lifecycle.ts'
import type { Shared } from './rpc/connection.ts'
import { Dispatcher } from './rpc/dispatch.ts'
import { LIMITS, type Limits } from './rpc/limits.ts'
import type { Row } from './rpc/row.ts'
import { serve, type Served } from './rpc/serve.ts'
import { rows as table } from './table.ts'
import { procedures } from './xdr/procedures.ts'

/** What the front end is made of. */
export interface LibvirtOptions {
  /** What it serves. */
  readonly supervisor: Supervisor
  /** The manager's version. */
  readonly version: string
  /** Takes a line for what a client asked for in vain, and for connections that were closed. */
  readonly log?: (line: string) => void
  /** Other bounds than the usual ones. */
  readonly limits?: Partial<Limits>
}

const OWNER_ONLY = 0o600

/** Lines about connections in a minute: who makes the server close many fills no disk with them. */
const REMARKS = 20
const MINUTE_MS = 60_000

class Remarks {
  #since = 0
  #count = 0

  /** Whether there may be one more. */
  take(): boolean {
    const now = performance.now()
    if (now - this.#since > MINUTE_MS) {
      this.#since = now
      this.#count = 0
    }
    return ++this.#count <= REMARKS
  }
}

type Where = { readonly path: string } | { readonly fd: number }

/** Serves libvirt's protocol on a Unix socket. */
export function serveLibvirt(options: LibvirtOptions, where: Where): Promise<FrontEnd> {
  return serveRows(table, options, where)
}

/** The same with other rows. */
export async function serveRows(
  rows: readonly Row[],
  { supervisor, version, log = () => {}, limits }: LibvirtOptions,
  where: Where,
): Promise<FrontEnd> {
  const pool = { bytes: 0 }
  const shared: Shared = { supervisor, version, pool, limits: { ...LIMITS, ...limits } }
  const names = new Map(Object.values(procedures).map(({ number, name }) => [number, name]))
  const dispatcher = new Dispatcher(rows, names, log)
  const clients = new Set<Served>()
  const remarks = new Remarks()
  const counts = { connections: 0, refused: 0, closed: 0 }

  const server = createServer((socket: Socket) => {
    counts.connections++
    if (clients.size >= shared.limits.connections) {
      counts.refused++
      socket.on('error', () => {})
      socket.destroy()
      return
    }
    const onClosed = (served: Served, reason: string): void => {
      clients.delete(served)
      if (reason === '') return
      counts.closed++
      if (remarks.take()) log(`libvirt: a connection was closed: ${reason}`)
    }
    clients.add(serve(socket, shared, dispatcher, onClosed))
  })
  const translator = new Translator(supervisor)
  const address = await listen(server, where)
  const forget = supervisor.onEvent((event) => {
    const told = translator.translate(event)
    for (const { connection } of clients) {
      for (const each of told) connection.callbacks.deliver(each)
    }
  })

  return {
    address,
    counts: () => ({
      ...counts,
      clients: clients.size,
      partialBytes: pool.bytes,
      ...dispatcher.counts(),
    }),
    async close() {
      forget()
      const closed = new Promise((resolve) => server.close(resolve))
      for (const served of clients) served.close()
      await closed
    },
  }
}

async function listen(server: Server, where: Where): Promise<string> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(where, resolve)
  })
  server.on('error', () => {})
  if ('fd' in where) return `fd:${where.fd}`
  chmodSync(where.path, OWNER_ONLY)
  return where.path
}
