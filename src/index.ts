/**
 * KVM virtual machines scripted from TypeScript.
 *
 * @module
 */
export type { EventBatch, PostedWrite } from './batch.ts'
export { type ErrorCode, VmError } from './errors.ts'
export type {
  AccessExit,
  DebugExit,
  Exit,
  ExitReason,
  FailEntryExit,
  HltExit,
  InternalErrorExit,
  MmioReadExit,
  MmioWriteExit,
  PioInExit,
  PioOutExit,
  ShutdownExit,
  SystemEventExit,
  UnknownExit,
} from './exit.ts'
export { type Guest, guests } from './guest.ts'
export type { IrqLine } from './irq.ts'
export type { Loaded, LoadedPart } from './loaded.ts'
export type { GuestMemory } from './memory.ts'
export type {
  CpuMode,
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
  SpecialRegisters,
  SpecialRegistersUpdate,
} from './registers.ts'
export type { EndReason, RunResult } from './result.ts'
export type {
  Claim,
  ConsoleTarget,
  ConstantTarget,
  Device,
  DeviceTarget,
  EventTarget,
  PlainTarget,
  PostedTarget,
  Route,
  Target,
} from './routes.ts'
export type { SerialPort } from './serial.ts'
export type { Vcpu } from './vcpu.ts'
export { type Counters, VirtualMachine } from './virtual-machine.ts'
