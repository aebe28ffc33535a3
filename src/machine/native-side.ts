/**
 * How `vmexit/process` reaches the native side of a machine. It is a bundle of its own, so that the
 * symbol is one that all bundles have.
 */
export const nativeSide: unique symbol = Symbol.for('vmexit.native')
