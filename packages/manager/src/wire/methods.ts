// What can be asked of a machine's process, and what it tells. Both sides have these types.
import type { MachineDefinition } from 'vmexit'

import type { MachineState, MachineStats } from '../supervisor/interface.ts'
import type { Crash, EndState } from './ends.ts'

/** The most bytes of guest memory in an answer. */
export const maxMemoryBytes = 65_536

/** The most keys that go down together, as libvirt has it. */
export const maxKeys = 16

/** The longest time for which keys are held. */
export const maxHoldMs = 10_000

/** What makes a machine begin. */
export interface StartParams {
  /** Its name. */
  readonly name: string
  /** Its UUID. */
  readonly uuid: string
  /** What it is made of; its paths are absolute. */
  readonly definition: MachineDefinition
  /** Stops before the first instruction, or before the first after `from`. */
  readonly paused?: boolean
  /** The folder of a saved state to go on from. */
  readonly from?: string
}

/** Where a machine that has begun is found. */
export interface Started {
  /** The socket of its console. */
  readonly serial: string
  /** The socket of its screen, if it has one. */
  readonly screen?: string
  /** The port of 127.0.0.1 of its screen, if the definition asks for one. */
  readonly vncPort?: number
}

/** What a machine does at the moment. */
export interface Status {
  /** What it does: `starting`, `running`, `paused`, or how it ended. */
  readonly state: MachineState
  /** When it began: ISO 8601, UTC. */
  readonly startedAt?: string
  /** Its name, once it is known. */
  readonly name?: string
  /** Its UUID. */
  readonly uuid?: string
  /** What it is made of. */
  readonly definition?: MachineDefinition
  /** Why it ended. */
  readonly reason?: string
  /** What the guest gave a stop port. */
  readonly exitCode?: number
  /** The port of 127.0.0.1 of its screen, if the definition asks for one. */
  readonly vncPort?: number
  /** Of a group's process: its machines. */
  readonly machines?: readonly Pick<Status, 'name' | 'uuid' | 'state'>[]
}

/** How a machine ended; `end.json` has it, too. */
export interface End {
  /** Whether its end was an orderly one. */
  readonly state: EndState
  /** The reason of its result, or an error's message. */
  readonly reason: string
  /** What the guest gave a stop port. */
  readonly exitCode?: number
  /** What is known of it, if it is a crash of the guest's own. */
  readonly crash?: Crash
  /** An error's code, if one ended it. */
  readonly code?: string
}

/** Each method: what it is given, and what it answers. */
export interface Methods {
  /** Begins the machine; resolves when it runs or, with `paused`, could. */
  readonly start: { params: StartParams; result: Started }
  /** What it does. */
  readonly status: { params: Nothing; result: Status }
  /** Stops its vCPUs. */
  readonly pause: { params: Nothing; result: Nothing }
  /** Lets them go on. */
  readonly resume: { params: Nothing; result: Nothing }
  /** Presses the reset button. */
  readonly reset: { params: Nothing; result: Nothing }
  /** Presses the power button. */
  readonly powerButton: { params: Nothing; result: Nothing }
  /** Interrupts vCPU 0 by an NMI. */
  readonly nmi: { params: Nothing; result: Nothing }
  /** Ends it. */
  readonly kill: { params: Nothing; result: Nothing }
  /** Presses keys together and releases them. */
  readonly sendKeys: { params: { codes: readonly string[]; holdMs?: number }; result: Nothing }
  /** Reads guest memory. */
  readonly memory: { params: { gpa: number; bytes: number }; result: { base64: string } }
  /** Writes its screen into a file, as a PNG. */
  readonly screenshot: { params: { file: string }; result: { width: number; height: number } }
  /** What it has done. */
  readonly stats: { params: Nothing; result: Omit<MachineStats, 'cpuMs' | 'rssBytes'> }
  /** Writes its state, and copies of its writable disks, into a folder that is there. */
  readonly save: { params: { folder: string; description?: string }; result: { bytes: number } }
  /** Makes it what it was. */
  readonly restore: { params: { folder: string }; result: Nothing }
}

/** No parameters, or an answer that only says that it is done. */
type Nothing = Readonly<Record<never, never>>

/** What a machine tells all who are connected. */
export type MachineEvent =
  | { readonly event: 'running' | 'paused' | 'resumed' }
  | { readonly event: 'reset'; readonly by: 'guest' | 'button' }
  | ({ readonly event: 'ended' } & End)
