/**
 * How `vmexit/process` reaches the native side of a machine. It is a bundle of its own, so that the
 * symbol is one that all bundles have.
 */
export const nativeSide: unique symbol = Symbol.for('vmexit.native')

/** How it makes the result of a run that it has begun there. */
export const resultOf: unique symbol = Symbol.for('vmexit.result')
