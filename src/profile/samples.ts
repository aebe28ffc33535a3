import type { NativeSamples } from '../native/seam.ts'

/** By the number that stands for each in what the core gives. */
const activities = ['guest', 'halted', 'waiting', 'unlisted'] as const

/**
 * One place where a vCPU was found, by addresses.
 *
 * @category Debugging
 */
export interface ProfileStack {
  /** Whose it is. */
  readonly vcpu: number
  /**
   * What it was doing: `'guest'` ran the guest; `'halted'` slept until an interrupt, or was not
   * started yet; `'waiting'` was outside the guest, while the host, or a handler, was answering.
   * `'unlisted'` stands for all stacks that came when there were too many, and has no frames.
   */
  readonly activity: (typeof activities)[number]
  /** Of the code: 16, 32 or 64. */
  readonly bits: number
  /** The privilege level, 0 to 3. */
  readonly cpl: number
  /** CR3 where there is paging, else 0: which address space it is. */
  readonly cr3: bigint
  /**
   * Linear addresses, the innermost first: of the next instruction, and then of those to which the
   * calls return. None if they are not known.
   */
  readonly frames: readonly bigint[]
  /** How often it was found there. */
  readonly count: number
}

/** When a stack was found. */
export interface Moment {
  readonly stack: number
  readonly atNs: number
}

/** Words of each stack in what the core gives. */
const stackWords = 5

/** The stacks of what the core gives. */
export function stacksOf({ stacks, counts, spaces, frames }: NativeSamples): ProfileStack[] {
  let next = 0
  return Array.from(counts, (count, index) => {
    const [vcpu, activity, bits, cpl, length] = stacks.subarray(index * stackWords)
    const own = [...frames.subarray(next, (next += length!))]
    return {
      vcpu: vcpu!,
      activity: activities[activity!]!,
      bits: bits!,
      cpl: cpl!,
      cr3: spaces[index]!,
      frames: own,
      count,
    }
  })
}

/** When each was found, in the order of time. */
export function momentsOf({ samples, times }: NativeSamples): Moment[] {
  return Array.from(samples, (stack, index) => ({ stack, atNs: times[index]! })).toSorted(
    (a, b) => a.atNs - b.atNs,
  )
}
