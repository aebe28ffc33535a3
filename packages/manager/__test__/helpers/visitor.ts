// What a browser asks of a daemon when it shows a machine: a cookie, streams, WebSockets.
import { once } from 'node:events'
import { Agent, type IncomingMessage, request } from 'node:http'
import type { Socket } from 'node:net'

import { WebSocket, createWebSocketStream } from 'ws'

import { RfbClient } from '../../../../__test__/fixtures/rfb-client.ts'
import type { HttpDaemon } from './http-daemon.ts'

/** What a page listens to as long as it is open. */
export const pageStreams = ['/v1/live?interval=1000'] as const

/** Connections that a browser has to one host, beside WebSockets. */
const maxSockets = 6

/** One browser, without its window. */
export class Visitor {
  /** How much has come by each stream, console (bytes) and screen (updates) that is open. */
  readonly heard = new Map<string, number>()
  /** What has ended that was open, and was not left. */
  readonly lost: string[] = []
  readonly #agent = new Agent({ keepAlive: true, maxSockets })
  readonly #ends: (() => void)[] = []
  readonly #sockets = new Map<string, WebSocket>()
  readonly #url: string
  readonly #cookie: string
  #hasLeft = false

  private constructor(url: string, cookie: string) {
    this.#url = url
    this.#cookie = cookie
  }

  /** Opens a fresh URL of a daemon's web screen. */
  static async enter(daemon: HttpDaemon): Promise<Visitor> {
    const { origin, pathname, search } = new URL(await daemon.client.webUrl())
    const { headers } = await daemon.ask({ url: origin, path: pathname + search })
    const [said = ''] = [headers['set-cookie'] ?? []].flat()
    return new Visitor(origin, said.split(';')[0]!)
  }

  /** Asks something; the status of the answer. */
  async ask(path: string): Promise<number> {
    const response = await this.#get(path)
    response.resume()
    await once(response, 'end')
    return response.statusCode!
  }

  /** Listens to what a page does. */
  async listen(): Promise<void> {
    for (const path of pageStreams) {
      const response = await this.#get(path)
      if (response.statusCode !== 200) throw new Error(`${path}: ${response.statusCode}`)
      this.#hear(path, 0)
      response.setEncoding('utf8').on('data', (text: string) => {
        this.#hear(path, text.match(/^data:/gm)?.length ?? 0)
      })
      response.once('close', () => this.#end(path))
      this.#ends.push(() => response.destroy())
    }
  }

  /** Opens the console of a machine. */
  console(name: string): Promise<unknown> {
    return this.#open(name, 'serial', (socket) =>
      socket.on('message', (bytes: Buffer) => this.#hear(`${name}/serial`, bytes.length)),
    )
  }

  /** Types at all consoles that are open. */
  type(text: string): void {
    for (const [key, socket] of this.#sockets)
      if (key.endsWith('/serial')) socket.send(Buffer.from(text))
  }

  /** Opens the screen of a machine, and asks for what changes as soon as it has the last. */
  async screen(name: string): Promise<void> {
    const stream = await this.#open(name, 'screen', (socket) => createWebSocketStream(socket))
    const client = await RfbClient.over(stream as unknown as Socket)
    client.request()
    const follow = async (): Promise<void> => {
      for (;;) {
        await client.update()
        this.#hear(`${name}/screen`, 1)
        client.request(true)
      }
    }
    // It ends with its WebSocket, which says so.
    void follow().catch(() => undefined)
  }

  /** Closes all. */
  leave(): void {
    this.#hasLeft = true
    for (const end of this.#ends) end()
    this.#agent.destroy()
  }

  async #get(path: string): Promise<IncomingMessage> {
    const headers = { cookie: this.#cookie }
    const asked = request(new URL(path, this.#url), { headers, agent: this.#agent }).end()
    const [response] = await once(asked, 'response')
    asked.on('error', () => undefined)
    return response
  }

  async #open<T>(name: string, what: string, use: (socket: WebSocket) => T): Promise<T> {
    const key = `${name}/${what}`
    const url = `${this.#url.replace('http', 'ws')}/v1/machines/${key}`
    const socket = new WebSocket(url, { headers: { cookie: this.#cookie, origin: this.#url } })
    this.#ends.push(() => socket.terminate())
    const used = use(socket)
    await once(socket, 'open')
    socket.on('error', () => undefined)
    socket.once('close', () => this.#end(key))
    this.#sockets.set(key, socket)
    this.#hear(key, 0)
    return used
  }

  #hear(key: string, count: number): void {
    this.heard.set(key, (this.heard.get(key) ?? 0) + count)
  }

  #end(key: string): void {
    this.heard.delete(key)
    this.#sockets.delete(key)
    if (!this.#hasLeft) this.lost.push(key)
  }
}
