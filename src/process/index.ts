/**
 * Native code that need not be trusted: `instantiate` loads a C, C++, Rust or Zig library into a
 * machine of its own, in ring 3, and calls its functions from here.
 *
 * @packageDocumentation
 */
export { GuestFault, GuestTimeout } from './faults.ts'
export { instantiate } from './instantiate.ts'
export type { AsyncExports, Library, LibraryExports } from './library.ts'
export type { LibraryMemory } from './memory.ts'
export type { InstantiateOptions } from './options.ts'
export type { OutputHandler } from './system-calls.ts'
export type { AsyncOf, FunctionOf, ImportOf, NativeValue } from './values/typed.ts'
