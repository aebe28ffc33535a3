import type { Shape } from './shapes.ts'

/**
 * Who may call: `always` before the connection is opened, too; `write` not on a connection that was
 * opened to read only.
 */
export type Access = 'always' | 'read' | 'write'

/** What can be called: its number and name in the protocol, and what goes there and back. */
export interface Procedure<A, R> {
  readonly number: number
  /** Without the prefix that all have. */
  readonly name: string
  readonly access: Access
  readonly arguments: Shape<A>
  readonly result: Shape<R>
}

/** What a server tells without being asked. */
export interface Message<M> {
  readonly number: number
  readonly name: string
  readonly body: Shape<M>
}

/** Describes a procedure. */
export function procedure<A, R>(
  number: number,
  name: string,
  access: Access,
  args: Shape<A>,
  result: Shape<R>,
): Procedure<A, R> {
  return { number, name, access, arguments: args, result }
}

/** Describes a message. */
export function message<M>(number: number, name: string, body: Shape<M>): Message<M> {
  return { number, name, body }
}
