/**
 * One instruction of a guest, or one byte that begins none.
 *
 * @category Debugging
 */
export interface Instruction {
  /** Its linear address. */
  readonly address: bigint
  /** Its bytes; a copy. */
  readonly bytes: Uint8Array
  /** What an assembler would be given, in Intel's syntax; `(bad)` for a byte that begins none. */
  readonly text: string
  /** Where it is in an ELF image with symbols, such as `main+0x12`. */
  readonly symbol?: string
}
