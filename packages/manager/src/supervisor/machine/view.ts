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

/** A machine as front ends see it. */
export function viewOf(record: MachineRecord, { state, last, pid, saved }: Present): MachineView {
  const { name, uuid, persistent, autostart, definition, xml } = record
  const { id, startedAt, reason, exitCode } = last
  const runs = busy.includes(state)
  return {
    name,
    uuid,
    state,
    ...(runs || reason === undefined ? {} : { reason }),
    ...(runs || exitCode === undefined ? {} : { exitCode }),
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
