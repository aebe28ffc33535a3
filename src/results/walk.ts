import type {
  NativeMissReason,
  NativePage,
  NativeTableLevel,
  NativeWalk,
  NativeWalkLevel,
} from '../native/seam.ts'

/**
 * An entry of the page tables on the way to a page (Intel SDM vol. 3A §5.3 to §5.5).
 *
 * @category Memory
 */
export interface WalkLevel extends Readonly<NativeWalkLevel> {}

/**
 * The page that a linear address lies in.
 *
 * @category Memory
 */
export interface TranslatedPage extends Readonly<NativePage> {}

/**
 * How a linear address is translated, or why it is not.
 *
 * @category Memory
 */
export interface Walk {
  /** The linear address. */
  readonly address: bigint
  /** The entries from the top table on, as far as the walk went; none without paging. */
  readonly levels: readonly WalkLevel[]
  /** The page, if there is one. */
  readonly page: TranslatedPage | null
  /** At which level there is none, and why; `'address'` if no table was asked. */
  readonly miss?: {
    /** The table whose entry it is. */
    readonly level: NativeTableLevel | 'address'
    /** What is wrong with it. */
    readonly why: NativeMissReason
  }
}

/**
 * Where a linear address lies in guest physical memory.
 *
 * @category Memory
 */
export interface Translation extends TranslatedPage {
  /** The entries that say so, from the top table on. */
  readonly walk: readonly WalkLevel[]
  /** The address as a symbol of the image, such as `main+0x12`, where there is one. */
  readonly symbol?: string
}

/** Of the seam. */
export function toWalk(address: bigint, { levels, page, miss }: NativeWalk): Walk {
  const walk = { address, levels, page: page ?? null }
  return miss ? { ...walk, miss: { level: miss.level ?? 'address', why: miss.why } } : walk
}
