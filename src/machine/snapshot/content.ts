import type { NativeRoute, NativeSnapshot } from '../../native/seam.ts'
import type { Symbols } from '../../debug/symbols.ts'
import type { Device } from '../../options/device.ts'
import type { DiskDevice } from '../../options/virtio/disks.ts'
import type { Handlers } from '../../options/routes.ts'
import type { Summary } from './summary.ts'
import type { States } from './states.ts'

/** A network card, as far as a snapshot holds it. */
export interface SavedCard {
  readonly mac: string
  readonly isPasst: boolean
}

/** What a snapshot holds. */
export interface Content {
  readonly native: NativeSnapshot
  readonly vcpus: number
  /** None in one that was read from a file. */
  readonly symbols: Symbols
  readonly hasSerial: boolean
  readonly summary: Summary
  /** The network cards. */
  readonly network: readonly SavedCard[]
  /** The names of the console ports beside the console, if there is one. */
  readonly ports: readonly string[] | undefined
  /** Of the caller's routes, in their order. */
  readonly handlers: readonly Handlers[]
  /** Of devices that save theirs, by the places of their routes. */
  readonly states: States
  /** Who answers each disk; nothing in one that was read from a file. */
  readonly disks: readonly (DiskDevice | undefined)[]
  /** Only of one that was read from a file. */
  readonly binding?: Binding
}

/** The routes of a snapshot that was read from a file, which has no functions. */
interface Binding {
  /** Those that `load` was given. */
  readonly routes: ReadonlyMap<string, NativeRoute>
  /** What JavaScript answers and `load` was not given, by place. */
  readonly open: ReadonlyMap<string, NativeRoute>
  /** Devices that `load` was given and no machine has; each belongs to the first that takes it. */
  readonly spare: Set<Device>
}
