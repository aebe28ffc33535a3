/**
 * Keeps machines of vmexit running.
 *
 * @module @vmexit/manager
 */
export { type Daemon, type DaemonOptions, startDaemon } from './daemon/index.ts'
export { ManagerError, type ManagerErrorCode } from './supervisor/errors.ts'
export type {
  Crash,
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
