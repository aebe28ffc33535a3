import type { NativeUser } from './seam.ts'

// What `vmexit/process` reaches of the package. It is a bundle of its own, so that these symbols
// are ones that all bundles have.

/** Says in a machine's options that the payload is a native program. */
export const programOption = Symbol.for('vmexit.program')

/** Beside the public options of a machine. */
export interface ProgramOptions {
  readonly [programOption]?: NativeUser
}

/** Gives the native side of a machine. */
export const nativeSide: unique symbol = Symbol.for('vmexit.native')

/** Makes the result of a run that was begun there. */
export const resultOf: unique symbol = Symbol.for('vmexit.result')
