/**
 * Machines for gdb: `listenGdb` serves one over the GDB Remote Serial Protocol, to gdb itself and
 * to whatever speaks to it, such as VS Code.
 *
 * @module vmexit/gdb
 */
export { type GdbServer, listenGdb } from './listen.ts'
export type { GdbOptions } from './options.ts'
