import { chmodSync, mkdtempSync, rmSync } from 'node:fs'
import { type AddressInfo, type Server, type Socket, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { clearInterval, setInterval, setTimeout } from 'node:timers'

import { VmError, raise, showThrown } from '../native/errors.ts'
import { type BoundSocket, bindSocket } from '../machine/rfb/unix-socket.ts'
import type { VirtualMachine } from '../machine/virtual-machine.ts'
import { type RunOptions, checkRunOptions } from '../options/run-options.ts'
import { isAborted, listen, reasonOf, unlisten } from '../options/signal.ts'
import type { RunResult } from '../results/result.ts'
import { Channel } from './wire/channel.ts'
import { Kept } from './monitor.ts'
import { type Checked, type GdbOptions, checkGdbOptions, checkMachine } from './options.ts'
import type { Served } from './served.ts'
import { Session } from './session.ts'

const loopback = '127.0.0.1'

/** How often it is looked whether the machine is closed. */
const pollMs = 100
/** How long a client waits for another one to go, and how many do. */
const GIVE_WAY = { ms: 500, clients: 8 } as const

/** A run that begins as soon as a client says so. */
interface Waiting {
  start(): Promise<RunResult>
  fail(error: Error): void
}

/**
 * Serves a machine to gdb, one client at a time. It keeps the process alive until it is closed, or
 * its machine is.
 *
 * @example
 * ```ts
 * import { VirtualMachine, guests } from 'vmexit'
 * import { listenGdb } from 'vmexit/gdb'
 *
 * using vm = new VirtualMachine({ mode: 'long', payload: guests.spin })
 * await using gdb = await listenGdb(vm, { port: 0 })
 * console.log(`target remote :${gdb.port}`) // target remote :…
 * ```
 *
 * @category Debugging
 */
export class GdbServer implements AsyncDisposable {
  /** The TCP port of 127.0.0.1, if it listens on one. */
  readonly port: number | undefined
  /** The path of the Unix socket, if it listens on one. */
  readonly path: string | undefined
  readonly #vm: VirtualMachine
  readonly #server: Server
  readonly #remove: () => void
  readonly #kept = new Kept()
  readonly #symbols: Uint8Array | undefined
  readonly #poll: NodeJS.Timeout
  /** Also of clients that have said farewell, until they are closed. */
  readonly #sockets = new Set<Socket>()
  #session: Promise<void> | undefined
  #givingWay = 0
  #waiting: Waiting | undefined
  #closed: Promise<void> | undefined

  /** @internal */
  constructor(vm: VirtualMachine, server: Server, bound: Bound, symbols: Uint8Array | undefined) {
    this.#vm = vm
    this.#server = server
    this.#symbols = symbols
    this.#remove = bound.remove
    this.path = bound.path
    this.port = bound.path === undefined ? (server.address() as AddressInfo).port : undefined
    removeAtExit(this.#remove)
    this.#poll = setInterval(() => {
      if (vm.closed) void this.close()
    }, pollMs).unref()
    server.on('connection', (socket) => void this.#welcome(socket))
  }

  /** Whether a client is there. */
  get connected(): boolean {
    return this.#session !== undefined
  }

  /**
   * `vm.run()`, which begins when a client lets the guest go on, or detaches. Until then the
   * machine is idle, and gdb sees its first instruction.
   *
   * Rejects as `vm.run()` does, also while it waits: with `signal.reason` if the signal is aborted.
   * `ERR_VM_BUSY` if one waits already, `ERR_VM_CLOSED` if the server is closed before.
   *
   * @example
   * ```ts
   * import { connect } from 'node:net'
   * import { VirtualMachine, guests } from 'vmexit'
   * import { listenGdb } from 'vmexit/gdb'
   *
   * using vm = new VirtualMachine({ mode: 'long', payload: guests.hello })
   * await using gdb = await listenGdb(vm, { port: 0 })
   * const run = gdb.run({ onExit: () => undefined })
   * connect(gdb.port!).end('$D#44') // what gdb says to detach
   * console.log((await run).reason) // hlt
   * ```
   */
  run(options?: RunOptions): Promise<RunResult> {
    return new Promise((resolve, reject) => {
      if (this.#closed) return reject(closed())
      if (this.#waiting) {
        const what = 'a run waits for the client already; await it first'
        return reject(new VmError('ERR_VM_BUSY', what))
      }
      const { signal } = checkRunOptions(options)
      if (signal && isAborted(signal)) return reject(reasonOf(signal))
      const abort = (): void => {
        this.#waiting = undefined
        reject(reasonOf(signal!))
      }
      if (signal) listen(signal, abort)
      const begun = (): void => {
        if (signal) unlisten(signal, abort)
      }
      const start = (): Promise<RunResult> => {
        begun()
        const run = this.#vm.run(options)
        resolve(run)
        return run
      }
      const fail = (error: Error): void => {
        begun()
        reject(error)
      }
      this.#waiting = { start, fail }
    })
  }

  /**
   * Lets the guest go on as after a detach, drops the client, and removes the socket. A run goes
   * on. Calling it again does nothing more.
   *
   * @example
   * ```ts
   * import { VirtualMachine, guests } from 'vmexit'
   * import { listenGdb } from 'vmexit/gdb'
   *
   * using vm = new VirtualMachine({ mode: 'long', payload: guests.hello })
   * const gdb = await listenGdb(vm)
   * await gdb.close()
   * console.log(gdb.connected) // false
   * ```
   */
  close(): Promise<void> {
    return (this.#closed ??= this.#close())
  }

  /** Does what `close()` does; `await using` calls it. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  /** Begins the run that waits for a client, if there is one. @internal */
  begin(): void {
    void this.#begin()?.catch(() => undefined)
  }

  /** Resolves when no client is there. @internal */
  async alone(): Promise<void> {
    while (this.#session) await this.#session
  }

  async #close(): Promise<void> {
    clearInterval(this.#poll)
    leftovers.delete(this.#remove)
    this.#remove()
    const gone = new Promise((resolve) => this.#server.close(resolve))
    for (const socket of this.#sockets) socket.destroy()
    await this.#session
    this.#waiting?.fail(closed())
    this.#waiting = undefined
    this.#kept[Symbol.dispose]()
    await gone
  }

  /** Serves it, unless another one is there and stays. */
  async #welcome(socket: Socket): Promise<void> {
    socket.on('error', () => undefined)
    this.#sockets.add(socket)
    socket.once('close', () => this.#sockets.delete(socket))
    if (this.#session && !(await this.#hasGone())) return void socket.destroy()
    if (this.#session || this.#closed || socket.destroyed) return void socket.destroy()
    const channel = new Channel(socket)
    this.#session = Session.serve(this.#served(), channel)
      .catch((error: unknown) => {
        process.emitWarning(`a client of gdb's was dropped: ${showThrown(error)}`)
        channel.close()
      })
      .finally(() => {
        this.#session = undefined
      })
  }

  /** Whether the client of before goes, as one does that connects anew. */
  async #hasGone(): Promise<boolean> {
    if (this.#givingWay >= GIVE_WAY.clients) return false
    this.#givingWay++
    const late = new Promise((resolve) => setTimeout(resolve, GIVE_WAY.ms).unref())
    await Promise.race([this.#session, late])
    this.#givingWay--
    return this.#session === undefined
  }

  #served(): Served {
    return {
      vm: this.#vm,
      kept: this.#kept,
      symbols: this.#symbols,
      begin: () => this.#begin() ?? this.#vm.run(),
      // Its promise is the caller's, who is told how it ends.
      detached: () => this.begin(),
    }
  }

  /** The run that waits, if there is one. */
  #begin(): Promise<RunResult> | undefined {
    const waiting = this.#waiting
    this.#waiting = undefined
    return waiting?.start()
  }
}

/** What is in the file system of servers that are not closed. */
const leftovers = new Set<() => void>()

/** One listener of the process for all of them: it warns of more than ten. */
function removeAtExit(remove: () => void): void {
  if (leftovers.size === 0) {
    process.off('exit', removeAll)
    process.once('exit', removeAll)
  }
  leftovers.add(remove)
}

function removeAll(): void {
  for (const remove of leftovers) remove()
}

/** Where a server is bound, and what of it is in the file system. */
interface Bound {
  readonly path: string | undefined
  readonly remove: () => void
}

/**
 * Serves a machine to gdb. An idle machine is run by gdb; a run under way is paused while a client
 * is there, and goes on as it says. Without a port or a path, it listens on a Unix socket in a
 * fresh folder that is this user's only.
 *
 * @throws {VmError} `ERR_INVALID_OPTION` for an option, also for a port or path that cannot be
 * listened on; `ERR_VM_CLOSED`.
 *
 * @example
 * ```ts
 * import { VirtualMachine, guests } from 'vmexit'
 * import { listenGdb } from 'vmexit/gdb'
 *
 * using vm = new VirtualMachine({ mode: 'long', payload: guests.hello })
 * await using gdb = await listenGdb(vm)
 * console.log(`gdb -ex 'target remote ${gdb.path}'`) // gdb -ex 'target remote …'
 * ```
 *
 * @category Debugging
 */
export async function listenGdb(vm: VirtualMachine, options: GdbOptions = {}): Promise<GdbServer> {
  checkMachine(vm)
  const checked = checkGdbOptions(options)
  if (vm.closed) return raise(new VmError('ERR_VM_CLOSED', 'the machine is closed'))
  const server = createServer()
  const bound = await bind(server, checked)
  return new GdbServer(vm, server, bound, checked.symbols)
}

async function bind(server: Server, { port, path }: Checked): Promise<Bound> {
  if (port !== undefined) {
    await bindPort(server, port)
    return { path: undefined, remove: () => undefined }
  }
  if (path !== undefined) return removable(await bindSocket(server, path))
  const folder = mkdtempSync(join(tmpdir(), 'vmexit-gdb-'))
  chmodSync(folder, 0o700)
  const socket = await bindSocket(server, join(folder, 'socket'))
  return { path: socket.path, remove: () => rmSync(folder, { recursive: true, force: true }) }
}

const removable = (socket: BoundSocket): Bound => {
  return { path: socket.path, remove: () => socket.remove() }
}

function bindPort(server: Server, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      const why =
        error.code === 'EADDRINUSE'
          ? 'is in use; 0 finds a free one'
          : `cannot be listened on: ${error.message}`
      const what = `port: ${loopback}:${port} ${why}`
      reject(new VmError('ERR_INVALID_OPTION', what, { cause: error }))
    })
    server.listen({ host: loopback, port, exclusive: true }, resolve)
  })
}

const closed = (): VmError => new VmError('ERR_VM_CLOSED', 'the server for gdb is closed')
