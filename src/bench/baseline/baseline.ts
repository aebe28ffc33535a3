import type { Kind } from '../document.ts'

/** What routes are compared with. */
export interface Baseline {
  readonly name: string
  readonly about: string
  /** Nanoseconds for `count` units; undefined where it cannot do the kind. */
  total(kind: Kind, count: number): Promise<number | undefined>
  /** Nanoseconds of each unit. */
  each(kind: Kind, count: number): Promise<readonly number[]>
  close(): Promise<void>
}
