/** A front end that listens: the HTTP API, or libvirt's protocol. */
export interface FrontEnd {
  /** Where: a path, or a URL. */
  readonly address: string
  /** Ends its connections and removes its socket. */
  close(): Promise<void>
  /** What it holds and has done, by name, for people who look for leaks. */
  counts(): Record<string, number>
}
