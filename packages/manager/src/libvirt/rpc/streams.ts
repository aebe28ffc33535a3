import type { Duplex } from 'node:stream'

import { asLibvirtError, ERROR, FROM, LibvirtError } from '../errors.ts'
import { STATUS } from './frames.ts'
import type { Limits } from './limits.ts'

/** The most bytes in a message of a stream; older clients take no more. */
const CHUNK_BYTES = 256 * 1024 - 24

/** What streams need of their connection. */
export interface StreamHost {
  /** Sends a message of a stream. */
  send(procedure: number, serial: number, status: number, payload: Uint8Array): void
  /** Sends that a stream failed. */
  sendError(procedure: number, serial: number, error: LibvirtError): void
  /** Whether what was sent waits for the client. */
  readonly isFull: boolean
  /** Reads no further messages until {@link release}. */
  hold(): void
  /** Undoes one {@link hold}. */
  release(): void
}

/** The streams of a connection, by the serial of the call that opened each. */
export class Streams {
  readonly #host: StreamHost
  readonly #limits: Limits
  readonly #open = new Map<number, Stream>()
  /** The other ends of streams that are finished, until what was written to them has gone. */
  readonly #closing = new Set<Duplex>()
  #isClosed = false

  constructor(host: StreamHost, limits: Limits) {
    this.#host = host
    this.#limits = limits
  }

  /** How many there are, those included whose last bytes are on their way. */
  get count(): number {
    return this.#open.size + this.#closing.size
  }

  /** Adds one; where that cannot be, the other end is destroyed, and the error says why. */
  add(procedure: number, serial: number, end: Duplex): Stream | LibvirtError {
    // An error of a stream that is destroyed already has nobody to tell.
    end.on('error', () => {})
    const problem = this.#problem(serial)
    if (problem !== '') {
      end.destroy()
      return new LibvirtError(ERROR.invalidStream, problem, FROM.stream)
    }
    const stream = new Stream(this.#host, this.#limits, { procedure, serial }, end, () =>
      this.#remove(serial, end),
    )
    this.#open.set(serial, stream)
    return stream
  }

  /** A message of a stream came; one of a stream that is over is nothing to tell. */
  receive(procedure: number, serial: number, status: number, payload: Buffer): void {
    const stream = this.#open.get(serial)
    if (stream?.procedure === procedure) stream.receive(status, payload)
  }

  /** A hole came, which no stream of ours takes. */
  receiveHole(procedure: number, serial: number): void {
    const stream = this.#open.get(serial)
    if (stream?.procedure === procedure) stream.refuse('a hole in a stream that has none')
  }

  /** The client has read what was sent. */
  drained(): void {
    for (const stream of this.#open.values()) stream.flow()
  }

  /** Ends all of them without a word. */
  close(): void {
    this.#isClosed = true
    for (const stream of this.#open.values()) stream.destroy()
    for (const end of this.#closing) end.destroy()
  }

  #problem(serial: number): string {
    const { streams } = this.#limits
    if (this.#isClosed) return 'the client has gone'
    if (this.count >= streams) return `a connection may have ${streams} streams`
    return this.#open.has(serial) ? `there is a stream of the serial ${serial}` : ''
  }

  #remove(serial: number, end: Duplex): void {
    this.#open.delete(serial)
    if (end.destroyed) return
    this.#closing.add(end)
    const destroy = () => end.destroy()
    const timer = setTimeout(destroy, this.#limits.streamStallMs)
    end.once('finish', destroy)
    end.once('close', () => {
      clearTimeout(timer)
      this.#closing.delete(end)
    })
    end.resume()
    end.end()
  }
}

/** Bytes both ways between a client and the other end. */
export class Stream {
  readonly procedure: number
  readonly #serial: number
  readonly #host: StreamHost
  readonly #limits: Limits
  readonly #end: Duplex
  readonly #onOver: () => void
  #isStarted = false
  #isOver = false
  #hasEnded = false
  #stall: NodeJS.Timeout | undefined

  constructor(
    host: StreamHost,
    limits: Limits,
    of: { readonly procedure: number; readonly serial: number },
    end: Duplex,
    onOver: () => void,
  ) {
    this.#host = host
    this.#limits = limits
    this.procedure = of.procedure
    this.#serial = of.serial
    this.#end = end
    this.#onOver = onOver
  }

  /** Lets bytes go to the client, once it has had the answer to its call. */
  start(): void {
    if (this.#isOver) return
    this.#isStarted = true
    const end = this.#end
    end.on('data', (chunk: Buffer) => this.#send(chunk))
    end.on('drain', () => this.#unhold())
    end.on('end', () => this.#sendEnd())
    end.on('error', (error) => this.#fail(asLibvirtError(error)))
    end.on('close', () => this.#sendEnd())
    if (end.destroyed) this.#sendEnd()
  }

  /** Goes on after the client has read. */
  flow(): void {
    if (this.#isStarted && !this.#isOver) this.#end.resume()
  }

  /** What the client writes, or that it has ended. */
  receive(status: number, payload: Buffer): void {
    if (status === STATUS.continue) return this.#write(payload)
    if (status !== STATUS.ok && status !== STATUS.error) {
      return this.refuse(`a message of a stream with status ${status}`)
    }
    const isAborted = status === STATUS.error
    this.#host.send(this.procedure, this.#serial, STATUS.ok, new Uint8Array())
    if (isAborted) this.#end.destroy()
    this.#over()
  }

  /** Ends it, and says why. */
  refuse(what: string): void {
    this.#fail(new LibvirtError(ERROR.invalidStream, what, FROM.stream))
    this.#end.destroy()
  }

  /** Ends it without a word. */
  destroy(): void {
    if (this.#isOver) return
    this.#end.destroy()
    this.#over()
  }

  #write(payload: Buffer): void {
    // Bytes for an end that takes no more are lost, as they are on a line that was cut.
    if (!this.#end.writable || this.#end.write(payload) || this.#stall !== undefined) return
    this.#host.hold()
    const { streamStallMs } = this.#limits
    const problem = `what was written to the stream was not taken for ${streamStallMs} ms`
    this.#stall = setTimeout(() => this.refuse(problem), streamStallMs)
  }

  #unhold(): void {
    if (this.#stall === undefined) return
    clearTimeout(this.#stall)
    this.#stall = undefined
    this.#host.release()
  }

  #send(chunk: Buffer): void {
    if (this.#isOver) return
    for (let at = 0; at < chunk.length; at += CHUNK_BYTES) {
      const part = chunk.subarray(at, at + CHUNK_BYTES)
      this.#host.send(this.procedure, this.#serial, STATUS.continue, part)
    }
    if (this.#host.isFull) this.#end.pause()
  }

  /** An empty message says that nothing more comes; the client then finishes the stream. */
  #sendEnd(): void {
    if (this.#isOver || this.#hasEnded) return
    this.#hasEnded = true
    this.#unhold()
    this.#host.send(this.procedure, this.#serial, STATUS.continue, new Uint8Array())
  }

  #fail(error: LibvirtError): void {
    if (this.#isOver) return
    this.#host.sendError(this.procedure, this.#serial, error)
    this.#end.destroy()
    this.#over()
  }

  #over(): void {
    this.#isOver = true
    this.#unhold()
    this.#onOver()
  }
}
