import type { MachineRecord } from '../../store/index.ts'
import type { MachineState, MachineView } from '../interface.ts'
import type { LastRun } from './last-run.ts'
import { busy } from './states.ts'

/** What a machine does at the moment. */
export interface Present {
  /** Its state. */
  readonly state: MachineState
  /** What its last start has left. */
  readonly last: LastRun
  /** The process that it is in. */
  readonly pid: number | undefined
  /** Whether a state of it is saved. */
  readonly saved: boolean
}

/** The process that a machine is in. */
export interface ProcessView {
  /** Its number. */
  readonly pid: number
  /** Whether other machines are in it. */
  readonly shared: boolean
  /** The port of 127.0.0.1 of the machine's screen, if it has one. */
  readonly vncPort: number | undefined
}

/** A machine as front ends see it. */
export function viewOf(record: MachineRecord, { state, last, pid, saved }: Present): MachineView {
  const { name, uuid, persistent, autostart, definition, xml } = record
  const { id, startedAt, reason, exitCode, crash } = last
  const runs = busy.includes(state)
  return {
    name,
    uuid,
    state,
    ...(runs || reason === undefined ? {} : { reason }),
    ...(runs || exitCode === undefined ? {} : { exitCode }),
    ...(runs || crash === undefined ? {} : { crash }),
    ...(runs && pid !== undefined ? { pid } : {}),
    ...(startedAt === undefined ? {} : { startedAt }),
    ...(runs && id !== undefined ? { id } : {}),
    persistent,
    autostart,
    saved,
    definition,
    ...(xml === undefined ? {} : { xml }),
  }
}

/** Where a start goes on from, for its event; nothing when it begins anew. */
export function beginningOf(
  { from, fresh }: { readonly from?: string; readonly fresh?: boolean },
  saved: boolean,
): { readonly from: 'snapshot' | 'saved' } | undefined {
  if (from !== undefined) return { from: 'snapshot' }
  return saved && fresh !== true ? { from: 'saved' } : undefined
}
