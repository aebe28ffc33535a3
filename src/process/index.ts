/**
 * Native code that need not be trusted: `instantiate` loads a C, C++, Rust or Zig library into a
 * machine of its own, in ring 3, and calls its functions from here; `Process` and `execute` run
 * whole Linux programs so.
 *
 * @module vmexit/process
 */
export { GuestFault, GuestTimeout } from './faults.ts'
export { instantiate } from './instantiate.ts'
export type { AsyncExports, Library, LibraryExports } from './library.ts'
export type { LibraryMemory } from './memory.ts'
export type { InstantiateOptions } from './options.ts'
export type { OutputHandler } from './system-calls.ts'
export type {
  CallMemory,
  SystemCall,
  SystemCallHandler,
  SystemCalls,
} from './program/calls/table.ts'
export { type ExecuteOptions, type Executed, execute } from './program/execute.ts'
export {
  type Contents,
  type Files,
  type HostFiles,
  type HostOptions,
  type MemoryDirectory,
  hostDirectory,
  hostFile,
  memoryDirectory,
} from './program/files.ts'
export type { Source } from './program/input.ts'
export type { FixedClock, ProcessOptions, RestoredOptions } from './program/options.ts'
export type { DirectoryEntry, ProcessFiles } from './program/process-files.ts'
export { Process } from './program/process.ts'
export type { ProcessResult } from './program/result.ts'
export { ProcessSnapshot } from './program/snapshot.ts'
export type { AsyncOf, FunctionOf, ImportOf, NativeValue } from './values/typed.ts'
