import type { Call, Connection } from '../rpc/connection.ts'
import { row, type Row } from '../rpc/row.ts'
import type { Procedure } from '../xdr/procedure.ts'
import { procedures } from '../xdr/procedures.ts'

type Procedures = typeof procedures

type Handler<P> =
  P extends Procedure<infer A, infer R>
    ? (connection: Connection, args: A, call: Call) => R | Promise<R>
    : never

/** Who answers, by the names of the procedures. */
export type Handlers = { readonly [K in keyof Procedures]?: Handler<Procedures[K]> }

/** The rows of handlers. */
export function rowsOf(handlers: Handlers): Row[] {
  return (Object.keys(handlers) as (keyof Procedures)[]).map((name) =>
    row(procedures[name] as Procedure<unknown, unknown>, handlers[name] as Handler<never>),
  )
}
