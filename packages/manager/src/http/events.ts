import type { IncomingMessage, ServerResponse } from 'node:http'

import { ManagerError } from '../supervisor/errors.ts'
import type { ManagerEvent, Supervisor } from '../supervisor/interface.ts'
import type { Connections } from './connections.ts'
import { eventBufferBytes, heartbeatMs, lingerMs, maxEventStreams } from './limits.ts'

const headers = {
  'content-type': 'text/event-stream',
  'cache-control': 'no-store',
  'x-content-type-options': 'nosniff',
}

/** For a browser to come again after. */
const retryMs = 1000

/** Streams of server-sent events. */
export class EventStreams {
  readonly #supervisor: Supervisor
  readonly #connections: Connections
  readonly #open = new Set<EventStream>()
  #dropped = 0
  #beat: NodeJS.Timeout | undefined

  /** Of these machines. */
  constructor(supervisor: Supervisor, connections: Connections) {
    this.#supervisor = supervisor
    this.#connections = connections
  }

  /** How many are open. */
  get count(): number {
    return this.#open.size
  }

  /** How many were ended because they were read too slowly. */
  get dropped(): number {
    return this.#dropped
  }

  /** Answers with a stream, from after an event on or from now on. */
  open(request: IncomingMessage, response: ServerResponse, since: number | undefined): void {
    if (this.#open.size >= maxEventStreams) {
      const message = `${maxEventStreams} streams of events are open already; end one of them`
      throw new ManagerError('ERR_LIMIT', message)
    }
    const stream = new EventStream(response, since ?? this.#supervisor.lastSeq)
    stream.listen(this.#supervisor, since)
    this.#open.add(stream)
    this.#beat ??= setInterval(() => this.#heartbeat(), heartbeatMs)
    this.#connections.whenOver(request, response, () => this.#remove(stream))
  }

  /** Ends them all. */
  close(): void {
    for (const stream of this.#open) stream.end('the daemon ends')
  }

  #heartbeat(): void {
    for (const stream of this.#open) stream.write(': alive\n\n')
  }

  #remove(stream: EventStream): void {
    stream.stop()
    this.#open.delete(stream)
    if (stream.isDropped) this.#dropped += 1
    if (this.#open.size > 0) return
    clearInterval(this.#beat)
    this.#beat = undefined
  }
}

/** One of them. */
class EventStream {
  readonly #response: ServerResponse
  readonly #since: number
  #stop: (() => void) | undefined
  #isOver = false
  #isDropped = false
  /** Of events alone: between them there may be stats. */
  #waiting = 0
  /** Written when what was written before it is: a write costs more than an event. */
  #text = ''
  #isWriting = false

  constructor(response: ServerResponse, since: number) {
    this.#response = response
    this.#since = since
  }

  /** Whether it was ended because it was read too slowly. */
  get isDropped(): boolean {
    return this.#isDropped
  }

  /** Begins to answer, unless the events are gone. */
  listen(supervisor: Supervisor, since: number | undefined): void {
    this.#stop = supervisor.onEvent((event) => this.#event(event), since)
    this.#begin()
    if (this.#isOver) this.stop()
  }

  /** Hears no further events. */
  stop(): void {
    this.#stop?.()
    this.#stop = undefined
  }

  /** Writes something, unless too much waits already. */
  write(text: string): void {
    if (this.#isOver) return
    if (this.#waiting > eventBufferBytes) {
      this.#isDropped = true
      this.end('read too slowly; come again with Last-Event-ID')
      return
    }
    this.#waiting += text.length
    this.#text += text
    if (!this.#isWriting) this.#flush()
  }

  /** Ends it after what waits; a reader that reads nothing of it has no long time. */
  end(why: string): void {
    if (this.#isOver) return
    this.#isOver = true
    this.stop()
    this.#begin()
    this.#response.end(`${this.#text}: ${why}\n\n`)
    this.#text = ''
    const timer = setTimeout(() => this.#response.destroy(), lingerMs)
    this.#response.once('close', () => clearTimeout(timer))
  }

  #flush(): void {
    const text = this.#text
    this.#text = ''
    this.#isWriting = text !== ''
    if (!this.#isWriting) return
    this.#response.write(text, () => {
      this.#waiting -= text.length
      this.#flush()
    })
  }

  #event(event: ManagerEvent): void {
    this.#begin()
    this.write(`id: ${event.seq}\ndata: ${JSON.stringify(event)}\n\n`)
  }

  /** An id without data is where a reader comes again to if it hears of nothing. */
  #begin(): void {
    if (this.#response.headersSent) return
    this.#response.writeHead(200, headers)
    this.#response.write(`retry: ${retryMs}\nid: ${this.#since}\n\n`)
  }
}
