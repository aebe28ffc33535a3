import type { StopHandlers } from '../../debug/stops/handlers.ts'
import type { Symbols } from '../../debug/symbols.ts'
import type { Handlers } from '../../options/routes.ts'
import type { DiskDevice } from '../../options/virtio/disks.ts'
import type { NativeMachine } from '../../native/seam.ts'
import type { ConsolePort } from '../streams/console-port.ts'
import type { Devices } from '../devices.ts'
import type { Remotes } from '../remote/remotes.ts'
import type { SavedCard } from './content.ts'
import type { Summary } from './summary.ts'

/** What a machine is made of, on this side of the seam. */
export interface Parts {
  readonly machine: NativeMachine
  readonly vcpus: number
  /** Of the image that its first machine was made with. */
  readonly symbols: Symbols
  /** Who is asked at breakpoints. */
  readonly stops: StopHandlers
  readonly hasSerial: boolean
  readonly summary: Summary
  /** By the id of the route, in the order of the routes. */
  readonly handlers: Map<number, Handlers>
  readonly devices: Devices
  /** Who answers each disk; `undefined` for those that Rust answers. */
  readonly disks: readonly (DiskDevice | undefined)[]
  /** What is answered by requests. */
  readonly remotes: Remotes
  /** By name, the console by 0. */
  readonly ports: ReadonlyMap<string | number, ConsolePort>
  /** The cards, as a snapshot has them. */
  readonly network: readonly SavedCard[]
}
