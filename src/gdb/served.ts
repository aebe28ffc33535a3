import type { VirtualMachine } from '../machine/virtual-machine.ts'
import type { RunResult } from '../results/result.ts'
import type { Channel } from './wire/channel.ts'
import type { Execution } from './going/execution.ts'
import type { Kept } from './monitor.ts'
import type { Points } from './going/points.ts'
import type { Bits } from './registers/layout.ts'

/** What a server gives to each of its sessions. */
export interface Served {
  readonly vm: VirtualMachine
  readonly kept: Kept
  /** The image that clients are given. */
  readonly symbols: Uint8Array | undefined
  /** Begins a run of an idle machine. */
  begin(): Promise<RunResult>
  /** A client has said farewell, and the guest shall go on. */
  detached(): void
}

/** What the packets of one client are about. */
export interface Conversation extends Served {
  readonly channel: Channel
  readonly execution: Execution
  readonly points: Points
  /** The layout of registers that the client knows. */
  readonly bits: Bits
}

/** `undefined`: none yet, or none at all. Empty: the packet is unknown. */
export type Answer = string | Uint8Array | undefined

/** Errors by number; clients show no more of them. */
export const errors = { wrong: 'E01', memory: 'E0e', busy: 'E10', refused: 'E16' } as const
