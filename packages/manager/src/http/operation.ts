import type { Supervisor } from '../supervisor/interface.ts'
import type { Schema } from './schema.ts'

/** What the operations are done with. */
export interface Service {
  /** The machines. */
  readonly supervisor: Supervisor
  /** The manager's. */
  readonly version: string
  /** Who can reach this front end. */
  readonly from: 'local' | 'tcp'
  /** A URL that lets one browser in to the screen, once; undefined: there is no screen. */
  readonly webUrl?: () => string
}

/** One request, checked. */
export interface Call extends Service {
  /** What stands in the path for `{name}`, else empty. */
  readonly name: string
  /** What stands in the path for `{snapshot}`, else empty. */
  readonly snapshot: string
  /** The parameters after `?`. */
  readonly query: Readonly<Record<string, number>>
  /** As its schema says. */
  readonly body: any
}

/** Methods of the API. */
type Method = 'GET' | 'POST' | 'PUT' | 'DELETE'

/** What each operation has. */
interface Row {
  /** Its name in the document. */
  readonly id: string
  readonly method: Method
  /** Segments in braces are parameters. */
  readonly path: string
  /** One sentence. */
  readonly summary: string
  /** The parameters after `?`, which are numbers and may be missing, but for the named ones. */
  readonly query?: Readonly<Record<string, Schema>>
  readonly requiredQuery?: readonly string[]
  /** Without one the body is empty. */
  readonly body?: Schema
  /** Whether the body may be missing, which then is `{}`. Default false. */
  readonly bodyIsOptional?: boolean
  /** Statuses of errors that belong to it, beside those that every operation has. */
  readonly errors?: readonly number[]
}

/** One that is answered at once. */
export interface PlainOperation extends Row {
  readonly kind: 'plain'
  /** A schema of JSON, or the media type of bytes; undefined: there is none, status 204. */
  readonly answer: Schema | 'application/octet-stream' | 'image/png' | undefined
  /** Returns what the answer says. */
  handle(call: Call): unknown
}

/** A stream of server-sent events. */
export interface EventsOperation extends Row {
  readonly kind: 'events'
  /** What is streamed; `live` is both of the others. */
  readonly of: 'events' | 'stats' | 'live'
}

/** A WebSocket. */
interface SocketOperation extends Row {
  readonly kind: 'socket'
  /** Opens what the WebSocket is tied to. */
  open(call: Pick<Call, 'supervisor' | 'name'>): ReturnType<Supervisor['console']>
}

/** A row of the table from which router, checks and document are made. */
export type Operation = PlainOperation | EventsOperation | SocketOperation
