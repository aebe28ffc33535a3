/** The types of the seam, for files that need no addon. */
export type {
  Failure,
  NativeConfig,
  NativeControlRegisters,
  NativeDescriptorTable,
  NativeErrorCode,
  NativeExit,
  NativeMachine,
  NativeOutcome,
  NativeRegisters,
  NativeReport,
  NativeRoute,
  NativeRunLimits,
  NativeSegment,
  NativeSpecialRegisters,
} from '../../index.js'
