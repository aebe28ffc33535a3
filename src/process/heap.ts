import { fail, show } from '../native/errors.ts'
import { checkInteger } from '../options/check.ts'
import type { Engine } from './engine/types.ts'

/** What `malloc` of C guarantees, too. */
const ALIGNMENT = 16
const PAGE = 4096
/** The least that is asked of the engine at once. */
const STEP = 16 * PAGE

interface Range {
  at: number
  bytes: number
}

const roundUp = (value: number, to: number): number => Math.ceil(value / to) * to

/**
 * Blocks of the engine's own area, the first that fits. The books are kept here: a guest can spoil
 * what is in a block, and nothing else.
 */
export class Heap {
  readonly #engine: Pick<Engine, 'map'>
  readonly #start: number
  readonly #used = new Map<number, number>()
  /** By address; no two of them touch. */
  #free: Range[] = []
  #end: number

  constructor(engine: Pick<Engine, 'map'>) {
    this.#engine = engine
    this.#start = Number(engine.map(STEP))
    this.#end = this.#start + STEP
    this.clear()
  }

  /** Forgets all blocks, and what was mapped for them since the heap is there. */
  clear(): void {
    this.#used.clear()
    this.#end = this.#start + STEP
    this.#free = [{ at: this.#start, bytes: STEP }]
  }

  /** The address of so many bytes. What is in them is not said. */
  alloc(bytes: number): number {
    checkInteger('bytes', bytes, 0, Number.MAX_SAFE_INTEGER)
    const wanted = roundUp(Math.max(bytes, 1), ALIGNMENT)
    const found = this.#free.findIndex((range) => range.bytes >= wanted)
    const index = found < 0 ? this.#grow(wanted) : found
    const range = this.#free[index]!
    const { at } = range
    range.at += wanted
    range.bytes -= wanted
    if (range.bytes === 0) this.#free.splice(index, 1)
    this.#used.set(at, wanted)
    return at
  }

  free(at: number): void {
    const bytes = this.#used.get(at)
    if (bytes === undefined) {
      const what = typeof at === 'number' && at >= 0 ? `0x${at.toString(16)}` : show(at)
      return fail('ERR_INVALID_OPTION', `address must be one that alloc gave, got ${what}`)
    }
    this.#used.delete(at)
    this.#release({ at, bytes })
  }

  /** Maps enough that the last range has so many bytes, and gives its index. */
  #grow(wanted: number): number {
    const last = this.#free.at(-1)
    const there = last && last.at + last.bytes === this.#end ? last.bytes : 0
    const bytes = roundUp(Math.max(wanted - there, STEP), PAGE)
    this.#release(this.#map(bytes, roundUp(wanted - there, PAGE)))
    return this.#free.length - 1
  }

  /** As much as there is, at least what is needed. */
  #map(bytes: number, least: number): Range {
    if (bytes > least) {
      try {
        return this.#mapped(bytes)
      } catch {
        // Memory may still have what is needed.
      }
    }
    return this.#mapped(least)
  }

  #mapped(bytes: number): Range {
    const at = Number(this.#engine.map(bytes))
    this.#end = at + bytes
    return { at, bytes }
  }

  /** Puts a range between its neighbours, and joins those that it touches. */
  #release(range: Range): void {
    const free = this.#free
    let [low, high] = [0, free.length]
    while (low < high) {
      const middle = (low + high) >>> 1
      if (free[middle]!.at < range.at) low = middle + 1
      else high = middle
    }
    const before = free[low - 1]
    const after = free[low]
    if (after && range.at + range.bytes === after.at) {
      range.bytes += after.bytes
      free.splice(low, 1)
    }
    if (before && before.at + before.bytes === range.at) before.bytes += range.bytes
    else free.splice(low, 0, range)
  }
}
