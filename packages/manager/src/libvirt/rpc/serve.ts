import type { Socket } from 'node:net'

import { Connection, REMOTE, type Shared } from './connection.ts'
import type { Dispatcher } from './dispatch.ts'
import { frame, headerOf, payloadOf, STATUS, TYPE, type Header } from './frames.ts'
import { Transport } from './transport.ts'

/** The program by which both sides see whether the other is there. */
const KEEPALIVE = { program: 0x6b656570, version: 1 } as const
const PING = 1
const PONG = 2

/** A client that is connected. */
export interface Served {
  readonly connection: Connection
  /** Closes it at once. */
  close(reason?: string): void
}

/** Serves a socket until it is closed; `onClosed` is called once then, with the reason if ours. */
export function serve(
  socket: Socket,
  shared: Shared,
  dispatcher: Dispatcher,
  onClosed: (served: Served, reason: string) => void,
): Served {
  const { limits } = shared
  let calls = 0

  const transport = new Transport(socket, limits, shared.pool, {
    message(bytes) {
      const header = headerOf(bytes)
      const problem = take(header, bytes)
      if (problem !== '') transport.close(problem)
    },
    drained: () => connection.streams.drained(),
    closed() {
      clearTimeout(unopened)
      connection.close()
      onClosed(served, transport.reason)
    },
  })
  const connection = new Connection(shared, transport)
  const served: Served = { connection, close: (reason) => transport.close(reason) }
  const unopened = setTimeout(() => {
    if (!connection.isOpen) transport.close(`not opened for ${limits.openMs} ms`)
  }, limits.openMs)

  /** What is wrong with a message, so that nothing after it can be trusted. */
  function take(header: Header, bytes: Buffer): string {
    const { program, version, procedure, serial, type, status } = header
    if (program === KEEPALIVE.program) return keepAlive(header)
    const isCall = type === TYPE.call
    if (program !== REMOTE.program || version !== REMOTE.version) {
      if (isCall) dispatcher.refuseProgram(connection, header)
      return isCall ? '' : `a message of program ${program} version ${version}`
    }
    if (isCall) void answer(header, payloadOf(bytes))
    else if (type === TYPE.stream) {
      connection.streams.receive(procedure, serial, status, payloadOf(bytes))
    } else if (type === TYPE.hole) connection.streams.receiveHole(procedure, serial)
    else return `a message of type ${type}`
    return ''
  }

  function keepAlive({ version, procedure, type }: Header): string {
    const isOurs = version === KEEPALIVE.version && type === TYPE.message
    if (!isOurs || (procedure !== PING && procedure !== PONG)) return 'a broken sign of life'
    if (procedure === PING) {
      const pong = { procedure: PONG, type: TYPE.message, serial: 0, status: STATUS.ok }
      transport.send(frame({ ...KEEPALIVE, ...pong }))
    }
    return ''
  }

  async function answer(header: Header, payload: Buffer): Promise<void> {
    const isLast = ++calls === limits.calls
    if (isLast) transport.hold()
    await dispatcher.call(connection, header, payload)
    if (calls-- === limits.calls) transport.release()
  }

  return served
}
