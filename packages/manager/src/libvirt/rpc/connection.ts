import type { Duplex } from 'node:stream'

import { asLibvirtError, fail, LibvirtError } from '../errors.ts'
import type { Supervisor } from '../../supervisor/interface.ts'
import { Callbacks } from '../events/callbacks.ts'
import type { Message } from '../xdr/procedure.ts'
import { encode } from '../xdr/shapes.ts'
import { failure } from '../xdr/types.ts'
import { frame, STATUS, TYPE, type Header } from './frames.ts'
import type { Limits } from './limits.ts'
import { Streams, type Stream } from './streams.ts'
import type { Pool, Transport } from './transport.ts'

/** libvirt's program of remote calls. */
export const REMOTE = { program: 0x20008086, version: 1 } as const

const ERROR_LEVEL = 2

/** What all connections share. */
export interface Shared {
  readonly supervisor: Supervisor
  readonly version: string
  readonly limits: Limits
  /** Bytes that all connections hold. */
  readonly pool: Pool
}

/** One call, to a handler that answers with more than a result. */
export interface Call {
  /**
   * Ties the call to a stream: what `end` yields goes to the client after the answer to the call,
   * what the client writes goes into it. It is destroyed when the client finishes or goes.
   */
  openStream(end: Duplex): void
}

/** A client, as handlers see it. */
export class Connection {
  /** All machines. */
  readonly supervisor: Supervisor
  /** Of the manager, such as `0.1.0`. */
  readonly version: string
  /** What the client wants to be told of. */
  readonly callbacks: Callbacks
  /** Its consoles and downloads. */
  readonly streams: Streams
  readonly #transport: Transport
  #opened: { readonly uri: string; readonly isReadOnly: boolean } | undefined
  #isClosing = false

  constructor(shared: Shared, transport: Transport) {
    this.supervisor = shared.supervisor
    this.version = shared.version
    this.#transport = transport
    this.callbacks = new Callbacks(shared.limits.callbacks, (message, body) =>
      this.tell(message, body),
    )
    const send = this.#send.bind(this)
    this.streams = new Streams(
      {
        send: (procedure, serial, status, payload) =>
          send({ procedure, serial, status, type: TYPE.stream }, payload),
        sendError: (procedure, serial, error) => this.#sendError(procedure, serial, error, true),
        get isFull() {
          return transport.isFull
        },
        hold: () => transport.hold(),
        release: () => transport.release(),
      },
      shared.limits,
    )
  }

  /** Whether `CONNECT_OPEN` was called. */
  get isOpen(): boolean {
    return this.#opened !== undefined
  }

  /** Whether it may change nothing. */
  get isReadOnly(): boolean {
    return this.#opened?.isReadOnly === true
  }

  /** By which the client opened it, such as `vmexit:///system`. */
  get uri(): string {
    return this.#opened?.uri ?? ''
  }

  /** Opens it; once. */
  open(uri: string, isReadOnly: boolean): void {
    if (this.#opened !== undefined) fail(55, 'the connection is open already')
    this.#opened = { uri, isReadOnly }
    this.#transport.allowAll()
  }

  /** Closes it after the answer to the call that asked for it. */
  closeAfterAnswer(): void {
    this.#isClosing = true
  }

  /** Sends a message that answers no call. */
  tell<M>(message: Message<M>, body: M): void {
    const header = { procedure: message.number, serial: 0, status: STATUS.ok, type: TYPE.message }
    this.#send(header, encode(message.body, body))
  }

  /** Answers a call. */
  answer(procedure: number, serial: number, payload: Uint8Array, stream?: Stream): void {
    this.#send({ procedure, serial, status: STATUS.ok, type: TYPE.reply }, payload)
    stream?.start()
    if (this.#isClosing) this.#transport.end()
  }

  /** Answers a call by an error; of another program than ours, by that program's numbers. */
  refuse(procedure: number, serial: number, error: LibvirtError, program?: Program): void {
    this.#sendError(procedure, serial, error, false, program)
  }

  /** Forgets what the client held. */
  close(): void {
    this.callbacks.clear()
    this.streams.close()
  }

  #send(
    header: Omit<Header, 'program' | 'version'>,
    payload: Uint8Array,
    program: Program = REMOTE,
  ) {
    this.#transport.send(frame({ ...program, ...header }, payload))
  }

  #sendError(
    procedure: number,
    serial: number,
    error: LibvirtError,
    isStream: boolean,
    program?: Program,
  ): void {
    const { code, from, message } = asLibvirtError(error)
    const nothing = { str1: message, str2: undefined, str3: undefined, dom: undefined }
    const body = { code, domain: from, message, level: ERROR_LEVEL, ...nothing }
    const payload = encode(failure, { ...body, int1: -1, int2: -1, net: undefined })
    const type = isStream ? TYPE.stream : TYPE.reply
    this.#send({ procedure, serial, status: STATUS.error, type }, payload, program)
  }
}

/** A program's number and version. */
export interface Program {
  readonly program: number
  readonly version: number
}
