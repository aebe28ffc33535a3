import type { AccessSize } from './exit.ts'

/**
 * One posted write.
 *
 * @category Routes
 */
export interface PostedWrite {
  /** Distance from the route's first port or address, 0 to 2^32 - 1. */
  readonly offset: number
  /** Bytes that the guest wrote; 8 only at an address. */
  readonly size: AccessSize
  /** What the guest wrote; a bigint when `size` is 8. */
  readonly value: number | bigint
}

/**
 * Posted writes of one route, in the order in which the guest made them: by column, or one by one.
 *
 * @example
 * ```ts
 * const values: (number | bigint)[] = []
 * const onBatch = (batch: WriteBatch) => {
 *   for (const { value } of batch) values.push(value)
 * }
 * using vm = new VirtualMachine({
 *   mode: 'long',
 *   payload: guests.numbered,
 *   routes: [{ port: 0x200, to: 'queue', onBatch }],
 * })
 * vm.memory.writeUint32(0x500, 3)
 * vm.runSync()
 * console.log(values) // [ 0, 1, 2 ]
 * ```
 *
 * @category Routes
 */
export class WriteBatch implements Iterable<PostedWrite> {
  /** Distances from the route's first port or address, 0 to 2^32 - 1. */
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

  /** How many writes, at least 1. */
  get length(): number {
    return this.sizes.length
  }

  /**
   * One record after the other. The columns are the same without an object per write.
   *
   * @example
   * ```ts
   * let sum = 0n
   * using vm = new VirtualMachine({
   *   mode: 'long',
   *   payload: guests.numbered,
   *   routes: [
   *     {
   *       port: 0x200,
   *       to: 'queue',
   *       onBatch(batch) {
   *         for (const value of batch.values) sum += value
   *       },
   *     },
   *   ],
   * })
   * vm.memory.writeUint32(0x500, 4)
   * vm.runSync()
   * console.log(sum) // 6n
   * ```
   */
  *[Symbol.iterator](): Iterator<PostedWrite> {
    for (let index = 0; index < this.length; index++) {
      const size = this.sizes[index] as AccessSize
      const value = this.values[index]!
      yield { offset: this.offsets[index]!, size, value: size === 8 ? value : Number(value) }
    }
  }
}
