// A front end for HTTP whose machine says as much as anyone takes, in a process of its own.
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { type IncomingMessage, request } from 'node:http'
import { type Socket, connect } from 'node:net'
import { join } from 'node:path'
import { setImmediate as turn } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'

import type { ExecutionContext } from 'ava'
import { WebSocket } from 'ws'

import { until } from '../../../../__test__/fixtures/until.ts'
import type { FloodCensus } from '../fixtures/flood-server.ts'
import { temporary } from './folder.ts'

const program = fileURLToPath(new URL('../fixtures/flood-server.ts', import.meta.url))

/** It ends with the test. */
export class Flood {
  readonly path: string
  /** A URL of its web screen. */
  web = ''
  readonly #child: ChildProcess
  readonly #open: { destroy(): unknown }[] = []

  private constructor(t: ExecutionContext) {
    this.path = join(temporary(t), 'api.sock')
    this.#child = fork(program, [this.path], { execArgv: ['--expose-gc', ...process.execArgv] })
    t.teardown(async () => {
      for (const each of this.#open) each.destroy()
      this.#child.kill('SIGKILL')
      await until(() => this.#child.signalCode !== null || this.#child.exitCode !== null)
    })
  }

  /** Starts one. */
  static async start(t: ExecutionContext): Promise<Flood> {
    const flood = new Flood(t)
    const [web] = await once(flood.#child, 'message')
    flood.web = web
    return flood
  }

  /** Tells events; what the process holds. */
  async census(events = 0): Promise<FloodCensus> {
    this.#child.send(events)
    const [census] = await once(this.#child, 'message')
    return census
  }

  /** Waits until it holds as many of something. */
  async holds(what: string, wanted: number): Promise<boolean> {
    for (const end = performance.now() + 300_000; performance.now() < end;) {
      if ((await this.census()).counts[what] === wanted) return true
      await turn()
    }
    return false
  }

  /** Asks by a connection of its own, and does not read the answer. */
  async ask(path: string): Promise<IncomingMessage> {
    const asked = request({ socketPath: this.path, path, agent: false }).end()
    asked.on('error', () => undefined)
    const [response] = await once(asked, 'response')
    this.#open.push(response)
    return response
  }

  /** The status of an answer. */
  async status(path: string): Promise<number> {
    const response = (await this.ask(path)).resume()
    await once(response, 'end')
    return response.statusCode!
  }

  /** A connection, and what was sent over it. */
  async connect(bytes = ''): Promise<Socket> {
    const socket = connect(this.path).on('error', () => undefined)
    this.#open.push(socket)
    await once(socket, 'connect')
    socket.write(bytes)
    return socket
  }

  /** A WebSocket of the console, or the status that it is refused with. */
  async console(): Promise<WebSocket | number> {
    const socket = new WebSocket(`ws+unix:${this.path}:/v1/machines/m/serial`)
    socket.on('error', () => undefined)
    this.#open.push({ destroy: () => socket.terminate() })
    return await Promise.race([
      once(socket, 'open').then(() => socket),
      once(socket, 'unexpected-response').then(([, { statusCode }]) => Number(statusCode)),
    ])
  }

  /** Ends all that was opened. */
  leave(): void {
    for (const each of this.#open.splice(0)) each.destroy()
  }
}
