/**
 * KVM virtual machines scripted from TypeScript. `VirtualMachine` is where to begin; `guests` are
 * programs to try it with. Importing the package opens nothing: no `/dev/kvm`, no thread, no signal
 * handler.
 *
 * Everywhere, addresses are guest physical and numbers (`gpa`), registers and 64-bit values are
 * bigints, and multi-byte values are little-endian.
 *
 * @module vmexit
 */
export { type AssembleOptions, assemble, assembleSync } from './assembler/assemble.ts'
export type { WriteBatch, PostedWrite } from './results/write-batch.ts'
export type { AttachedRoute } from './machine/attached-route.ts'
export type { Counters, FrameCounters, RouteCounters } from './machine/counters.ts'
export { fromDefinition } from './definition/index.ts'
export type {
  DefinedCard,
  DefinedDisk,
  DefinedClaim,
  DefinedGuest,
  DefinedImage,
  DefinedFile,
  DefinedModule,
  DefinedNumber,
  DefinedRoute,
  DefinedScreen,
  DefinedSlot,
  DefinitionModule,
  DefinitionOptions,
  MachineDefinition,
} from './definition/types.ts'
export { type ErrorCode, VmError, type VmErrorDetails } from './native/errors.ts'
export type {
  AccessExit,
  AccessSize,
  DebugExit,
  Exit,
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
} from './results/exit.ts'
export { type Guest, guests } from './options/guest.ts'
export type { Debug, StepsOptions, WatchOptions } from './debug/stops/debug.ts'
export type { StopHandler, StopHit } from './debug/stops/hit.ts'
export type { DebugMeans } from './debug/stops/means.ts'
export type { StepOptions, StepSyncOptions } from './debug/stops/step-options.ts'
export type { Breakpoint, Steps, Watchpoint } from './debug/stops/stop.ts'
export type { DisassembleOptions } from './debug/disassemble.ts'
export type { Instruction } from './results/instruction.ts'
export type { IrqLine } from './machine/irq.ts'
export type { Loaded, LoadedPart } from './machine/loaded.ts'
export type { GuestMemory } from './machine/memory.ts'
export type { MemorySlot, VirtualMachineOptions } from './options/options.ts'
export type { FramesCard, NetworkCard, PasstCard } from './options/virtio/network.ts'
export type { Image, Module } from './options/payload.ts'
export type { ExitAnswer, ExitContext, RunOptions, RunSyncOptions } from './options/run-options.ts'
export type { Autopsy, ExplainOptions, Finding } from './results/autopsy.ts'
export type {
  CpuMode,
  EndReason,
  ExitReason,
  Faults,
  ImageFormat,
  Privilege,
} from './native/words.ts'
export type { SegmentUpdate, SpecialRegistersUpdate } from './machine/registers.ts'
export type { RunHit } from './results/hit.ts'
export type { Fault } from './results/fault.ts'
export type { ProfileFormat } from './profile/formats.ts'
export type { ProfileNamer } from './profile/names.ts'
export type { ProfileOptions } from './profile/options.ts'
export type { Profile } from './profile/profile.ts'
export type { ProfileStack } from './profile/samples.ts'
export type { ProfileFunction } from './profile/summary.ts'
export type { Registers } from './results/registers.ts'
export type { DescriptorTable, Segment, SpecialRegisters } from './results/special-registers.ts'
export { type RunResult, describeExit } from './results/result.ts'
export type { Device, DeviceContext, DeviceTarget } from './options/device.ts'
export type { DeviceDisk, Disk, DiskDevice, FileDisk } from './options/virtio/disks.ts'
export type { ConsoleTarget, ConstantTarget, PlainTarget } from './options/plain-routes.ts'
export type { EventMatch, EventTarget, PostedTarget } from './options/posted-routes.ts'
export type { Claim, Route, Target } from './options/routes.ts'
export type { ListenOptions, ScreenServer } from './machine/rfb/listen.ts'
export type { Screen, ScreenWaitOptions } from './machine/screen/screen.ts'
export type { ScreenSize } from './options/screen.ts'
export type { GuestStream } from './machine/streams/guest-stream.ts'
export type { ConsolePort } from './machine/streams/console-port.ts'
export type { SerialPort } from './machine/streams/serial.ts'
export type { Vcpu } from './machine/vcpu/vcpu.ts'
export type { Fpu } from './machine/vcpu/fpu.ts'
export type { DebugRegisters, VcpuEvents } from './machine/vcpu/state.ts'
export {
  type ForkOptions,
  type PageDifference,
  type LoadOptions,
  Snapshot,
  type SnapshotDescription,
  type SnapshotOptions,
} from './machine/snapshot/snapshot.ts'
export type { Keyboard, TypeOptions } from './machine/keyboard/keyboard.ts'
export type { KeyboardLayout } from './machine/keyboard/layouts.ts'
export type { MachineDebug } from './machine/machine-debug.ts'
export type { MachineDevices } from './machine/machine-devices.ts'
export type { BatchMessage, RunMessage } from './machine/run/channels.ts'
export type { MachineRuns } from './machine/machine-runs.ts'
export type { MachineState } from './machine/machine-state.ts'
export { type TraceOptions, type TraceSaveOptions, Trace, readTrace } from './trace/trace.ts'
export type { TraceFormat } from './trace/formats.ts'
export type { TracedExit } from './trace/record.ts'
export { VirtualMachine } from './machine/virtual-machine.ts'
export type { VirtualMemory } from './debug/virtual.ts'
export type { Translation, TranslatedPage, Walk, WalkLevel } from './results/walk.ts'
export type { Where } from './results/where.ts'
