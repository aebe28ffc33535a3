import type { ProfileStack } from './samples.ts'

/**
 * What names an address: the symbol that reaches over it.
 *
 * @category Debugging
 */
export type ProfileNamer = (
  address: bigint,
  code: Pick<ProfileStack, 'bits' | 'cpl' | 'cr3'>,
) => string | undefined

/** What stands in place of a function. */
export const marks = {
  halted: '(halted)',
  waiting: '(waiting)',
  unlisted: '(unlisted)',
  unknown: '(unknown)',
} as const

/** The distance into a symbol. */
const offset = /\+0x[0-9a-f]+$/

/** Names of all frames of stacks, the outermost first. */
export class Names {
  readonly #namer: ProfileNamer
  readonly #known = new Map<string, string>()
  readonly #tellsSpaces: boolean

  constructor(namer: ProfileNamer, stacks: readonly ProfileStack[]) {
    this.#namer = namer
    const users = stacks.filter(({ cpl, frames }) => cpl === 3 && frames.length > 0)
    this.#tellsSpaces = new Set(users.map(({ cr3 }) => cr3)).size > 1
  }

  /** Of one stack; what is no function is in parentheses. */
  of(stack: ProfileStack): string[] {
    const { activity, frames, cpl, cr3 } = stack
    if (activity === 'unlisted') return [marks.unlisted]
    const named = frames.map((address, index) => {
      // A call may be the last instruction of its function, and so may be what asked the host.
      const isAfter = index > 0 || activity === 'waiting'
      return this.#nameOf(isAfter && address > 0n ? address - 1n : address, stack)
    })
    const space = this.#tellsSpaces && cpl === 3 && frames.length > 0
    return [
      ...(space ? [`(space ${hex(cr3)})`] : []),
      ...named.toReversed(),
      ...(activity !== 'guest' ? [marks[activity]] : frames.length === 0 ? [marks.unknown] : []),
    ]
  }

  #nameOf(address: bigint, { bits, cpl, cr3 }: ProfileStack): string {
    const key = `${address} ${bits} ${cpl} ${cr3}`
    const known = this.#known.get(key)
    if (known !== undefined) return known
    const symbol = this.#namer(address, { bits, cpl, cr3 })
    const name = symbol === undefined ? hex(address) : String(symbol).replace(offset, '')
    this.#known.set(key, name)
    return name
  }
}

function hex(value: bigint): string {
  return `0x${value.toString(16)}`
}
