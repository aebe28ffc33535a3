// The daemon's end of a machine's control socket: requests with answers, and events.
import { connect, type Socket } from 'node:net'

import { ManagerError, type ManagerErrorCode } from '../errors.ts'

/** A line of more bytes closes the connection. */
const maxLineBytes = 1 << 20

/** Requests that wait for answers, of one machine. */
export const maxWaiting = 1000

/** What a machine process tells on its own. */
export interface ControlEvent {
  /** What happened. */
  readonly event: string
  /** What else it says. */
  readonly [more: string]: unknown
}

interface Waiting {
  readonly resolve: (result: Record<string, unknown>) => void
  readonly reject: (error: ManagerError) => void
  readonly timer: NodeJS.Timeout
}

/** A connection. */
export class Control {
  /** Resolves when it is closed, by whichever side. */
  readonly closed: Promise<void>
  readonly #socket: Socket
  readonly #waiting = new Map<number, Waiting>()
  readonly #onEvent: (event: ControlEvent) => void
  #next = 1
  #parts: Buffer[] = []
  #bytes = 0

  private constructor(socket: Socket, onEvent: (event: ControlEvent) => void) {
    this.#socket = socket
    this.#onEvent = onEvent
    socket.on('data', (chunk: Buffer) => this.#take(chunk))
    socket.on('error', () => {})
    this.closed = new Promise((resolve) => {
      socket.once('close', () => {
        this.#abandon()
        resolve()
      })
    })
  }

  /** Connects; `ERR_MACHINE` if nobody is there. */
  static open(path: string, onEvent: (event: ControlEvent) => void): Promise<Control> {
    return new Promise((resolve, reject) => {
      const socket = connect(path)
      socket.once('error', (cause) => {
        reject(new ManagerError('ERR_MACHINE', `cannot reach ${path}: ${cause.message}`, { cause }))
      })
      socket.once('connect', () => resolve(new Control(socket, onEvent)))
    })
  }

  /** Whether it is closed. */
  get isClosed(): boolean {
    return this.#socket.destroyed
  }

  /** Asks, and waits for the answer at most so long. */
  request(
    method: string,
    params: Readonly<Record<string, unknown>>,
    limitMs: number,
  ): Promise<Record<string, unknown>> {
    return new Promise((resolve, reject) => {
      if (this.#socket.destroyed) return reject(gone())
      if (this.#waiting.size >= maxWaiting) {
        const message = `${maxWaiting} requests wait for the machine already`
        return reject(new ManagerError('ERR_LIMIT', message))
      }
      const id = this.#next++
      const timer = setTimeout(() => {
        this.#waiting.delete(id)
        const message = `the machine's process did not answer '${method}' within ${limitMs} ms`
        reject(new ManagerError('ERR_TIMEOUT', message))
      }, limitMs)
      this.#waiting.set(id, { resolve, reject, timer })
      this.#socket.write(`${JSON.stringify({ id, method, params })}\n`)
    })
  }

  /** Closes it; what waits is rejected. */
  close(): void {
    this.#socket.destroy()
  }

  #take(chunk: Buffer): void {
    let from = 0
    for (let end = chunk.indexOf(10); end >= 0; end = chunk.indexOf(10, from)) {
      this.#parts.push(chunk.subarray(from, end))
      const line = Buffer.concat(this.#parts)
      this.#parts = []
      this.#bytes = 0
      from = end + 1
      if (!this.#line(line)) return this.close()
    }
    if (from === chunk.length) return
    this.#parts.push(chunk.subarray(from))
    this.#bytes += chunk.length - from
    if (this.#bytes > maxLineBytes) this.close()
  }

  #line(line: Buffer): boolean {
    let message: unknown
    try {
      message = JSON.parse(line.toString())
    } catch {
      return false
    }
    if (typeof message !== 'object' || message === null) return false
    const { id, result, error, event } = message as Record<string, unknown>
    if (typeof event === 'string') {
      this.#onEvent(message as ControlEvent)
      return true
    }
    const waiting = this.#waiting.get(id as number)
    if (waiting === undefined) return true
    this.#waiting.delete(id as number)
    clearTimeout(waiting.timer)
    if (error === undefined) waiting.resolve((result ?? {}) as Record<string, unknown>)
    else waiting.reject(told(error))
    return true
  }

  #abandon(): void {
    for (const { reject, timer } of this.#waiting.values()) {
      clearTimeout(timer)
      reject(gone())
    }
    this.#waiting.clear()
  }
}

function gone(): ManagerError {
  return new ManagerError('ERR_MACHINE', "the machine's process has closed the connection")
}

function told(error: unknown): ManagerError {
  const { code, message } = (error ?? {}) as Record<string, unknown>
  const known = typeof code === 'string' && code.startsWith('ERR_') ? code : 'ERR_MACHINE'
  return new ManagerError(known as ManagerErrorCode, String(message ?? 'no reason was given'))
}
