/**
 * Keeps machines of vmexit running.
 *
 * @packageDocumentation
 */
export { type Daemon, type DaemonOptions, startDaemon } from './daemon/index.ts'
export { ManagerError, type ManagerErrorCode } from './supervisor/errors.ts'
export type {
  DefineOptions,
  EventType,
  MachineState,
  MachineStats,
  MachineView,
  ManagerEvent,
  Origin,
  SnapshotView,
  StartOptions,
  Supervisor,
} from './supervisor/interface.ts'
export type { Crash } from './wire/ends.ts'
