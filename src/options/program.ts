import type { NativeUser } from '../native/seam.ts'

/**
 * How `vmexit/process` says that a payload is a native program. It is a bundle of its own, so that
 * the symbol is one that all bundles have.
 */
export const programOption = Symbol.for('vmexit.program')

/** Beside the public options of a machine. */
export interface ProgramOptions {
  readonly [programOption]?: NativeUser
}
