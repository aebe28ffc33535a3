import type { Server, Socket } from 'node:net'

import type { Console } from '../console.ts'
import { farewellMs, serveSocket, stopServing } from './serve.ts'

/** Bytes that wait for one who does not read; with more it is dropped. */
const maxLagBytes = 1024 * 1024

/** The console's socket: first the end of the kept text, then what comes; what is sent is typed. */
export class SerialServer {
  readonly #console: Console
  readonly #sockets = new Set<Socket>()
  #server: Server | undefined

  private constructor(console: Console) {
    this.#console = console
  }

  /** Serves it. */
  static async serve(path: string, console: Console): Promise<SerialServer> {
    const serial = new SerialServer(console)
    serial.#server = await serveSocket(path, (socket) => serial.#attach(socket))
    return serial
  }

  /** Accepts nobody any more, and lets those who are connected go once they have the rest. */
  async close(): Promise<void> {
    if (this.#server) stopServing(this.#server)
    await Promise.all(Array.from(this.#sockets, letGo))
  }

  #attach(socket: Socket): void {
    this.#sockets.add(socket)
    const { tail } = this.#console
    if (tail.length > 0) socket.write(tail)
    const leave = this.#console.listen((bytes) => {
      socket.write(bytes)
      if (socket.writableLength > maxLagBytes) socket.destroy()
    })
    socket.on('error', () => undefined)
    socket.on('data', (bytes: Buffer) => {
      // The guest reads when it likes, and until then so do we.
      socket.pause()
      this.#console.type(bytes, () => socket.resume())
    })
    socket.once('close', () => {
      leave()
      this.#sockets.delete(socket)
    })
  }
}

async function letGo(socket: Socket): Promise<void> {
  if (socket.destroyed) return
  await new Promise<void>((resolve) => {
    const timer = setTimeout(() => socket.destroy(), farewellMs)
    socket.once('close', () => {
      clearTimeout(timer)
      resolve()
    })
    socket.end(() => socket.destroy())
  })
}
