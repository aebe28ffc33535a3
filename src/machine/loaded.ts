import type { NativeLoaded, NativePart } from '../native/seam.ts'

/**
 * One thing that was put into the guest's memory.
 *
 * @category Machine
 */
export interface LoadedPart extends Readonly<NativePart> {}

/**
 * What was put into the guest's memory before its first instruction.
 *
 * @category Machine
 */
export interface Loaded extends Readonly<Omit<NativeLoaded, 'parts'>> {
  /** In the order of placing. */
  readonly parts: readonly LoadedPart[]
}
