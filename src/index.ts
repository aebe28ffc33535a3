/**
 * KVM virtual machines scripted from TypeScript. `VirtualMachine` is where to begin; `guests` are programs to
 * try it with. Importing the package opens nothing: no `/dev/kvm`, no thread, no signal handler.
 *
 * Throughout, addresses are guest physical and numbers (`gpa`), registers and 64-bit values are bigints, and
 * multi-byte values are little-endian.
 *
 * @packageDocumentation
 */
export type { EventBatch, PostedWrite } from './batch.ts'
export type { Counters } from './counters.ts'
export { fromDefinition } from './definition/index.ts'
export type {
  DefinedClaim,
  DefinedGuest,
  DefinedImage,
  DefinedModule,
  DefinedNumber,
  DefinedRoute,
  DefinedSlot,
  DefinitionModule,
  DefinitionOptions,
  MachineDefinition,
} from './definition/types.ts'
export { type ErrorCode, VmError, type VmErrorDetails } from './errors.ts'
export type {
  AccessExit,
  AccessSize,
  DebugExit,
  Exit,
  ExitReason,
  FailEntryExit,
  HltExit,
  InternalErrorExit,
  MmioAccess,
  MmioReadExit,
  MmioWriteExit,
  PioInExit,
  PioOutExit,
  PortAccess,
  ShutdownExit,
  SystemEventExit,
  UnknownExit,
  Written,
} from './exit.ts'
export { type Guest, guests } from './guest.ts'
export type { IrqLine } from './irq.ts'
export type { Loaded, LoadedPart } from './loaded.ts'
export type { GuestMemory } from './memory.ts'
export type {
  CpuMode,
  ExitAnswer,
  Image,
  ImageFormat,
  MemorySlot,
  Module,
  Privilege,
  RunOptions,
  RunSyncOptions,
  VirtualMachineOptions,
} from './options.ts'
export type {
  DescriptorTable,
  Registers,
  Segment,
  SegmentUpdate,
  SpecialRegisters,
  SpecialRegistersUpdate,
} from './registers.ts'
export { type EndReason, type RunResult, describeExit } from './result.ts'
export type {
  Claim,
  ConsoleTarget,
  ConstantTarget,
  Device,
  DeviceTarget,
  EventMatch,
  EventTarget,
  PlainTarget,
  PostedTarget,
  Route,
  Target,
} from './routes.ts'
export type { SerialPort } from './serial.ts'
export type { Vcpu } from './vcpu.ts'
export type { MachineState } from './machine-state.ts'
export { VirtualMachine } from './virtual-machine.ts'
export type { Where } from './where.ts'
