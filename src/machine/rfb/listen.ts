import type { AddressInfo, Server } from 'node:net'

import { checkInteger, checkKeys, checkObject, checkPath } from '../../options/check.ts'
import { VmError, fail, show } from '../../native/errors.ts'
import { Hub, type Service } from './server.ts'
import { type BoundSocket, bindSocket } from './unix-socket.ts'

/**
 * Where viewers find a screen.
 *
 * @category Devices
 */
export type ListenOptions =
  | {
      /** Of a Unix socket that is made there, for this user only: a string or a `file:` URL. */
      path: string | URL
    }
  | {
      /** A TCP port of 127.0.0.1; 0 is one that is free, see `ScreenServer.address`. */
      port: number
      /** 1 to 8 characters from space to `~`: VNC's authentication takes no more. */
      password: string
    }

const loopback = '127.0.0.1'

/**
 * Serves a screen to viewers of VNC, of which 16 can look at once. It keeps no process alive: a run
 * does. It ends with the machine, or with `close()`, which `await using` calls.
 *
 * @example
 * ```ts
 * using vm = new VirtualMachine({
 *   mode: 'real', pc: true, memoryBytes: 2 ** 20, screen: 'text', payload: guests.hello,
 * })
 * await using server = await vm.screen!.listen({ port: 0, password: 'secret' })
 * console.log(server.address, server.viewers) // 127.0.0.1:… 0
 * ```
 *
 * @category Devices
 */
export class ScreenServer implements AsyncDisposable {
  readonly #hub: Hub
  readonly #socket: BoundSocket | undefined
  /** The path of the socket, or `127.0.0.1:PORT`. */
  readonly address: string
  #closed: Promise<void> | undefined

  /** @internal */
  constructor(hub: Hub, socket: BoundSocket | undefined) {
    this.#hub = hub
    this.#socket = socket
    this.address = socket?.path ?? `${loopback}:${(hub.server.address() as AddressInfo).port}`
  }

  /** How many viewers look at the screen. */
  get viewers(): number {
    return this.#hub.viewers
  }

  /**
   * Drops all viewers, and removes the socket. Keys that they hold are let go. Calling it again
   * does nothing more.
   *
   * @example
   * ```ts
   * using vm = new VirtualMachine({
   *   mode: 'real', pc: true, memoryBytes: 2 ** 20, screen: 'text', payload: guests.hello,
   * })
   * const server = await vm.screen!.listen({ port: 0, password: 'secret' })
   * await server.close()
   * console.log(server.viewers) // 0
   * ```
   */
  close(): Promise<void> {
    return (this.#closed ??= new Promise((resolve) => {
      this.#socket?.remove()
      this.#hub.server.close(() => resolve())
      this.#hub.close()
    }))
  }

  /** Does what `close()` does; `await using` calls it. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }
}

/** Serves it from now on; `servers` has those that do. */
export async function listen(
  service: Omit<Service, 'password'>,
  options: ListenOptions,
  servers = new Set<ScreenServer>(),
): Promise<ScreenServer> {
  const { path, port, password } = checkOptions(options)
  const hub = new Hub({ ...service, password })
  const socket = path === undefined ? undefined : await bindSocket(hub.server, path)
  if (!socket) await bindPort(hub.server, port)
  const server = new ScreenServer(hub, socket)
  servers.add(server)
  hub.server.once('close', () => servers.delete(server))
  return server
}

function checkOptions(options: unknown): { path?: string; port: number; password?: string } {
  const given = checkObject('options', options)
  checkKeys('options', given, ['path', 'port', 'password'])
  const { path, port, password } = given
  if (path === undefined) {
    if (port === undefined)
      return fail('ERR_INVALID_OPTION', 'options must have a path, or a port and a password')
    return { port: checkInteger('port', port, 0, 65_535), password: checkPassword(password) }
  }
  if (port === undefined && password === undefined)
    return { path: checkPath('path', path), port: 0 }
  const why = 'a socket is for this user only, and has neither port nor password'
  const other = port === undefined ? 'password' : 'port'
  return fail('ERR_INVALID_OPTION', `path: ${why}; leave out ${other}`)
}

function bindPort(server: Server, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => reject(portError(port, error)))
    server.listen({ host: loopback, port, exclusive: true }, resolve)
  })
}

function checkPassword(password: unknown): string {
  if (typeof password === 'string' && /^[ -~]{1,8}$/.test(password)) return password
  const got = typeof password === 'string' ? `${password.length} characters` : show(password)
  const why = 'every user of this host reaches the port, and VNC passwords end after 8'
  return fail(
    'ERR_INVALID_OPTION',
    `password must be 1 to 8 characters from space to ~, got ${got}; ${why}`,
  )
}

function portError(port: number, error: NodeJS.ErrnoException): VmError {
  const why =
    error.code === 'EADDRINUSE'
      ? 'is in use; 0 finds a free one'
      : `cannot be listened on: ${error.message}`
  return new VmError('ERR_INVALID_OPTION', `port: ${loopback}:${port} ${why}`, { cause: error })
}
