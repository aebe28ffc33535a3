/** What a client can make the server hold and wait for. */
export interface Limits {
  /** Connections at once. */
  readonly connections: number
  /** Bytes of a message that a client sends, its length included; the protocol has 32 MiB. */
  readonly messageBytes: number
  /** The same before the connection is opened. */
  readonly firstMessageBytes: number
  /** For how long a message may come in parts. */
  readonly messageMs: number
  /** Bytes of messages that have not come whole, of all connections that send large ones. */
  readonly partialBytes: number
  /** For how long a connection may stay without being opened. */
  readonly openMs: number
  /** Calls of a connection that are being answered; further ones wait in its socket. */
  readonly calls: number
  /** Bytes of answers, events and streams that wait for a client to read them. */
  readonly outgoingBytes: number
  /** For how long a client may leave unread what it was sent, when more waits. */
  readonly stallMs: number
  /** Streams of a connection. */
  readonly streams: number
  /** For how long the other end of a stream may take nothing of what a client writes. */
  readonly streamStallMs: number
  /** Callbacks for events of a connection. */
  readonly callbacks: number
}

/** What holds unless a test says otherwise. */
export const LIMITS: Limits = {
  connections: 256,
  // A string of the protocol's bound, which a definition may be, and what goes with it.
  messageBytes: 4 * 1024 * 1024 + 64 * 1024,
  firstMessageBytes: 64 * 1024,
  messageMs: 60_000,
  partialBytes: 64 * 1024 * 1024,
  openMs: 30_000,
  calls: 16,
  outgoingBytes: 16 * 1024 * 1024,
  stallMs: 30_000,
  streams: 16,
  streamStallMs: 10_000,
  callbacks: 256,
}
