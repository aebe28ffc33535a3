// A client of libvirt's protocol that a test can make say anything.
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'

import { frame, headerOf, payloadOf, STATUS, TYPE } from '../../src/libvirt/rpc/frames.ts'
import { Frames, type Header } from '../../src/libvirt/rpc/frames.ts'
import { REMOTE } from '../../src/libvirt/rpc/connection.ts'
import type { Procedure } from '../../src/libvirt/xdr/procedure.ts'
import { procedures } from '../../src/libvirt/xdr/procedures.ts'
import { decode, encode } from '../../src/libvirt/xdr/shapes.ts'
import { failure } from '../../src/libvirt/xdr/types.ts'

const LARGEST = 32 * 1024 * 1024

/** What came. */
export interface Came extends Header {
  readonly payload: Buffer
}

/** An error that the server answered. */
export class Refused extends Error {
  readonly code: number
  constructor(payload: Buffer) {
    const { code, message = '' } = decode(failure, payload)
    super(message)
    this.code = code
  }
}

export class LibvirtClient implements Disposable {
  readonly socket: Socket
  readonly #frames = new Frames()
  readonly #waiting = new Map<number, (came: Came) => void>()
  /** Messages that answer no call, and those of streams. */
  readonly told: Came[] = []
  #serial = 0
  isClosed = false
  readonly closed: Promise<void>

  private constructor(socket: Socket) {
    this.socket = socket
    socket.on('error', () => {})
    this.closed = new Promise((resolve) => {
      socket.on('close', () => {
        this.isClosed = true
        resolve()
      })
    })
    socket.on('data', (chunk) => this.#take(chunk))
  }

  /** Connects, and opens the connection unless told otherwise. */
  static async open(path: string, flags: number | 'unopened' = 0): Promise<LibvirtClient> {
    const socket = connect(path)
    await once(socket, 'connect')
    const client = new LibvirtClient(socket)
    if (flags !== 'unopened') {
      await client.call(procedures.connectOpen, { name: 'vmexit:///system', flags })
    }
    return client
  }

  /** Calls, and returns the result; rejects with what the server answered. */
  async call<A, R>(procedure: Procedure<A, R>, args: A): Promise<R> {
    const { payload, status } = await this.ask(procedure.number, encode(procedure.arguments, args))
    if (status === STATUS.error) throw new Refused(payload)
    return decode(procedure.result, payload)
  }

  /** Calls with any bytes. */
  ask(procedure: number, payload: Uint8Array, header: Partial<Header> = {}): Promise<Came> {
    const serial = ++this.#serial
    const plain = { ...REMOTE, procedure, serial, type: TYPE.call, status: STATUS.ok }
    this.socket.write(frame({ ...plain, ...header }, payload))
    return new Promise((resolve, reject) => {
      this.#waiting.set(header.serial ?? serial, resolve)
      void this.closed.then(() => reject(new Error('the connection was closed')))
    })
  }

  /** The serial of the last call. */
  get serial(): number {
    return this.#serial
  }

  /** Sends a message of a stream. */
  stream(procedure: number, serial: number, status: number, payload = new Uint8Array()): void {
    const header = { ...REMOTE, procedure, serial, type: TYPE.stream, status }
    this.socket.write(frame(header, payload))
  }

  /** What came of the stream of a serial. */
  streamed(serial: number): { readonly text: string; readonly statuses: readonly number[] } {
    const all = this.told.filter((came) => came.type === TYPE.stream && came.serial === serial)
    const bytes = all.filter(({ status }) => status !== STATUS.error).map(({ payload }) => payload)
    return {
      text: Buffer.concat(bytes).toString(),
      statuses: all.map(({ status, payload }) => (payload.length > 0 && status === 2 ? 3 : status)),
    }
  }

  [Symbol.dispose](): void {
    this.socket.destroy()
  }

  #take(chunk: Buffer): void {
    this.#frames.push(chunk)
    for (;;) {
      const message = this.#frames.next(LARGEST)
      if (message === undefined) return
      if (message === 'broken') return this[Symbol.dispose]()
      const came = { ...headerOf(message), payload: payloadOf(message) }
      if (came.type !== TYPE.reply) this.told.push(came)
      else {
        this.#waiting.get(came.serial)?.(came)
        this.#waiting.delete(came.serial)
      }
    }
  }
}
