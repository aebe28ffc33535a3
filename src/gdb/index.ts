/**
 * Machines for gdb: `listenGdb` serves one over the GDB Remote Serial Protocol, to gdb itself and
 * to whatever speaks to it, such as VS Code.
 *
 * @packageDocumentation
 */
export { type GdbServer, listenGdb } from './listen.ts'
export type { GdbOptions } from './options.ts'
