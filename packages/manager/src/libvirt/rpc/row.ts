import type { Procedure } from '../xdr/procedure.ts'
import type { Call, Connection } from './connection.ts'

/**
 * Answers a procedure: gets the client and the arguments, and returns the result or a promise of
 * it. What it throws, a `LibvirtError` or a `ManagerError`, is the client's error. A handler whose
 * call has a stream ties it by `call.openStream(duplex)` before it returns.
 */
export type Handler<A, R> = (connection: Connection, args: A, call: Call) => R | Promise<R>

/** A procedure and who answers it. */
export interface Row<A = unknown, R = unknown> extends Procedure<A, R> {
  readonly handler: Handler<A, R>
}

/**
 * A row of the table. This is how handlers are written:
 *
 *     const rows = [
 *       row(procedures.domainIsActive, ({ supervisor }, { dom }) => {
 *         const { state } = supervisor.find(dom.uuid)
 *         return { active: state === 'running' ? 1 : 0 }
 *       }),
 *     ]
 */
export function row<A, R>(procedure: Procedure<A, R>, handler: Handler<A, R>): Row {
  return { ...procedure, handler } as unknown as Row
}
