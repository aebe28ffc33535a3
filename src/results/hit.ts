import type { NativeHit } from '../native/seam.ts'

/**
 * The stop that ended a run: what `result.reason` names.
 *
 * @category Results
 */
export interface RunHit {
  /**
   * Linear: of the next instruction; of a watchpoint the first watched address.
   */
  readonly address: bigint
  /** Of a watchpoint: what memory was before the instruction. */
  readonly before?: Uint8Array
  /** And after it. */
  readonly after?: Uint8Array
}

/** Of the seam. */
export function toHit({ address, before, after }: NativeHit): RunHit {
  return before && after ? { address, before, after } : { address }
}
