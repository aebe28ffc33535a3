import type { Moment, ProfileStack } from './samples.ts'

/** A profile by names. */
export interface Named {
  readonly hz: number
  readonly durationMs: number
  /** Those of which there is a sample. */
  readonly vcpus: readonly number[]
  readonly stacks: readonly NamedStack[]
  /** In the order of time; of some samples there may be none. */
  readonly moments: readonly Moment[]
}

/** One of its stacks. */
export interface NamedStack extends ProfileStack {
  /** The outermost first. */
  readonly names: readonly string[]
}

/** A table of things by name, each once. */
export class Numbers {
  readonly names: string[] = []
  readonly #numbers = new Map<string, number>()

  /** The number of a name. */
  of(name: string): number {
    const known = this.#numbers.get(name)
    if (known !== undefined) return known
    this.#numbers.set(name, this.names.length)
    return this.names.push(name) - 1
  }
}
