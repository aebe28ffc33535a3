/**
 * Where a daemon keeps and serves what.
 *
 * @category Manager
 */
export interface DaemonOptions {
  /** Where definitions are kept; default as `vmexit daemon --help` says. */
  readonly state?: string
  /** Where sockets are; default as `vmexit daemon --help` says. */
  readonly runtime?: string
  /** The folder below which modules are accepted from XML and by TCP, too. Default: nowhere. */
  readonly modules?: string
  /** The port of 127.0.0.1 for HTTP, 0 for any; it needs `token`. Default: none. */
  readonly port?: number
  /** What HTTP by TCP asks for. */
  readonly token?: string
  /** The screen for browsers, at a port of 127.0.0.1, 0 for any. Default: none. */
  readonly web?: {
    /** Of the loopback; 0 for any. */
    readonly port: number
  }
  /** Gets a line for what nobody waits for. Default: nowhere. */
  readonly log?: (line: string) => void
  /** Sockets that listen already, as systemd hands them over. */
  readonly fds?: {
    /** In place of `api.sock`. */
    readonly api?: number
    /** In place of `libvirt.sock`. */
    readonly libvirt?: number
  }
}
