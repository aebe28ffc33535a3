/** One posted write. */
export interface PostedWrite {
  /** Distance from the route's first port or address. */
  readonly offset: number
  /** 1, 2, 4 or 8 bytes. */
  readonly size: number
  /** What the guest wrote; a bigint when `size` is 8. */
  readonly value: number | bigint
}

/**
 * Posted writes of one route, in the order in which the guest made them: by column, or one by one.
 *
 * @example
 * ```ts
 * const onBatch = (batch: EventBatch) => {
 *   for (const { offset, value } of batch) console.log(offset, value)
 * }
 * ```
 */
export class EventBatch implements Iterable<PostedWrite> {
  /** Distances from the route's first port or address. */
  readonly offsets: Uint32Array
  /** 1, 2, 4 or 8 bytes each. */
  readonly sizes: Uint8Array
  /** What the guest wrote, zero-extended. */
  readonly values: BigUint64Array

  /** @internal */
  constructor(columns: { offsets: Uint32Array; sizes: Uint8Array; values: BigUint64Array }) {
    this.offsets = columns.offsets
    this.sizes = columns.sizes
    this.values = columns.values
  }

  /** How many writes. */
  get length(): number {
    return this.sizes.length
  }

  /** One record after the other. */
  *[Symbol.iterator](): Iterator<PostedWrite> {
    for (let index = 0; index < this.length; index++) {
      const [offset, size, value] = [this.offsets[index]!, this.sizes[index]!, this.values[index]!]
      yield { offset, size, value: size === 8 ? value : Number(value) }
    }
  }
}
