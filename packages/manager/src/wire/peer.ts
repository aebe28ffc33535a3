import type { Duplex } from 'node:stream'

import { ManagerError, type ManagerErrorCode } from '../supervisor/errors.ts'
import { Lines } from './lines.ts'
import { type Message, type Params, type WireEvent, readMessage, writeMessage } from './message.ts'

/** A line of more bytes closes the connection. */
export const maxLineBytes = 1024 * 1024

/** Requests of the other side that are being answered; it is not read on until one is. */
export const maxServed = 64

/** Requests that wait for answers of the other side. */
export const maxAsked = 1000

/** Bytes that wait for a side that does not read; more close the connection. */
const maxUnreadBytes = 4 * 1024 * 1024

/** How long an answer may take, unless said otherwise. */
const usualLimitMs = 30_000

/** Answers a request; what it throws is told, by `code` and `message`. */
export type Answerer = (method: string, params: Params) => unknown

/** What a peer does with what comes. */
export interface PeerOptions {
  /** Answers requests; without it each is `ERR_NOT_SUPPORTED`. */
  readonly answer?: Answerer
  /** Gets events. */
  readonly onEvent?: (event: WireEvent) => void
}

interface Asked {
  readonly resolve: (result: Record<string, unknown>) => void
  readonly reject: (error: Error) => void
  readonly timer: NodeJS.Timeout
}

/**
 * One end of a connection that carries lines of JSON: requests and answers both ways, and events.
 * What is no message, or too long, closes it, and harms nothing else.
 */
export class Peer {
  /** Resolves when the connection is closed, by whichever side. */
  readonly closed: Promise<void>
  readonly #stream: Duplex
  readonly #options: PeerOptions
  readonly #lines = new Lines(maxLineBytes)
  readonly #asked = new Map<number, Asked>()
  #queue: Buffer[] = []
  #served = 0
  #next = 1

  /** Over a connection that is open. */
  constructor(stream: Duplex, options: PeerOptions = {}) {
    this.#stream = stream
    this.#options = options
    this.closed = new Promise((resolve) => {
      stream.once('close', () => {
        this.#abandon()
        resolve()
      })
    })
    stream.on('error', () => undefined)
    stream.on('data', (chunk: Buffer) => this.#take(chunk))
    stream.on('end', () => stream.end())
  }

  /** Requests of this side that wait for an answer. */
  get waiting(): number {
    return this.#asked.size
  }

  /** Asks the other side; `ERR_TIMEOUT`, `ERR_LIMIT`, `ERR_MACHINE` when it is closed. */
  request(
    method: string,
    params: Params = {},
    limitMs: number = usualLimitMs,
  ): Promise<Record<string, unknown>> {
    return new Promise((resolve, reject) => {
      if (this.#stream.destroyed) return reject(gone())
      if (this.#asked.size >= maxAsked)
        return reject(new ManagerError('ERR_LIMIT', `${maxAsked} requests wait already`))
      const id = this.#next++
      const timer = setTimeout(() => {
        this.#asked.delete(id)
        const what = `'${method}' was not answered within ${limitMs} ms`
        reject(new ManagerError('ERR_TIMEOUT', what))
      }, limitMs)
      this.#asked.set(id, { resolve, reject, timer })
      this.#send({ id, method, params })
    })
  }

  /** Tells the other side. */
  emit(event: { readonly event: string }): void {
    this.#send(event)
  }

  /** Closes it at once; what waits is rejected. */
  close(): void {
    this.#stream.destroy()
  }

  /** Closes it when all that was told is written; at most so long. */
  async end(limitMs: number): Promise<void> {
    if (this.#stream.destroyed) return
    const timer = setTimeout(() => this.close(), limitMs)
    this.#stream.end()
    // Whoever has read the end may leave its own side open.
    this.#stream.once('finish', () => this.close())
    await this.closed
    clearTimeout(timer)
  }

  #send(message: object): void {
    if (this.#stream.destroyed || this.#stream.writableEnded) return
    const line = writeMessage(message)
    if (line.length - 1 > maxLineBytes) return this.close()
    this.#stream.write(line)
    if (this.#stream.writableLength > maxUnreadBytes) this.close()
  }

  #take(chunk: Buffer): void {
    const lines = this.#lines.take(chunk)
    if (!lines) return this.close()
    this.#queue.push(...lines)
    this.#serve()
  }

  /** What came, as far as it may be served now. */
  #serve(): void {
    while (this.#queue.length > 0 && this.#served < maxServed && !this.#stream.destroyed) {
      const message = readMessage(this.#queue.shift()!)
      if (!message) return this.close()
      this.#dispatch(message)
    }
    if (this.#queue.length > 0) this.#stream.pause()
    else if (this.#stream.isPaused()) this.#stream.resume()
  }

  #dispatch(message: Message): void {
    if (message.kind === 'event') return this.#options.onEvent?.(message.event)
    if (message.kind === 'request') {
      this.#served++
      return void this.#answer(message.id, message.method, message.params)
    }
    const asked = this.#asked.get(message.id)
    // Its time was up.
    if (!asked) return
    this.#asked.delete(message.id)
    clearTimeout(asked.timer)
    if (message.kind === 'answer') asked.resolve(message.result)
    else asked.reject(new ManagerError(message.code as ManagerErrorCode, message.message))
  }

  async #answer(id: number, method: string, params: Params): Promise<void> {
    try {
      const { answer = unsupported } = this.#options
      const result = await answer(method, params)
      this.#send({ id, result: result ?? {} })
    } catch (error) {
      this.#send({ id, error: toldOf(error) })
    }
    this.#served--
    this.#serve()
  }

  #abandon(): void {
    this.#queue = []
    for (const { reject, timer } of this.#asked.values()) {
      clearTimeout(timer)
      reject(gone())
    }
    this.#asked.clear()
  }
}

/** An error as a line has it: the code of a `ManagerError` or `VmError`, else `ERR_INTERNAL`. */
export function toldOf(error: unknown): { code: string; message: string } {
  const { code, message } = (error ?? {}) as { code?: unknown; message?: unknown }
  return {
    code: typeof code === 'string' && code.startsWith('ERR_') ? code : 'ERR_INTERNAL',
    message: (typeof message === 'string' ? message : String(error)).slice(0, maxToldLetters),
  }
}

/** An error's message may have been made of a guest's or a module's words. */
const maxToldLetters = 4096

function unsupported(method: string): never {
  throw new ManagerError('ERR_NOT_SUPPORTED', `there is no method '${method.slice(0, 60)}'`)
}

function gone(): ManagerError {
  return new ManagerError('ERR_MACHINE', "the machine's process has closed the connection")
}
