/**
 * Keeps machines of vmexit running.
 *
 * @packageDocumentation
 */
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
