/**
 * Asks a daemon of vmexit's manager.
 *
 * @module @vmexit/manager/client
 */
import { Client } from './client.ts'
import type { ConnectOptions } from './transport.ts'

export { ManagerError, type ManagerErrorCode } from '../supervisor/errors.ts'
export type {
  EventType,
  MachineState,
  MachineStats,
  MachineView,
  ManagerEvent,
  SnapshotView,
  StartOptions,
} from '../supervisor/interface.ts'
export { Client, type ClientDefineOptions } from './client.ts'
export type { ConnectOptions } from './transport.ts'

/**
 * A client of the daemon at a Unix socket, or at a port of the loopback. Nothing is opened before
 * the first question.
 *
 * @example
 * ```ts
 * const client = connect({ socket: `${process.env.XDG_RUNTIME_DIR}/vmexit/api.sock` })
 * for (const { name, state } of await client.list()) console.log(name, state)
 * ```
 *
 * @category Manager
 */
export function connect(where: ConnectOptions): Client {
  return new Client(where)
}
