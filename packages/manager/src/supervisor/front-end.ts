/** What serves clients on a socket. */
export interface FrontEnd {
  /** Where it listens: a path, or a URL. */
  readonly address: string
  /** Ends all connections, and the socket. */
  close(): Promise<void>
  /** What it has been asked for, by name. */
  counts(): Record<string, number>
}
