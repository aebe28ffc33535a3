import type { Kind } from '../document.ts'
import type { RouteName } from '../route-names.ts'
import { type BenchRoute, type Without, since } from './route.ts'

/** What is done again and again. */
export interface Work extends Disposable {
  /** Once; a promise is awaited. */
  once(): unknown
}

/** What makes one such route. */
export interface RepeatedSpec {
  name: RouteName
  unit: string
  kind: Kind | null
  others?: readonly Kind[]
  about: string
  /** What one time is. */
  timing: string
  /** As many exits cost about as much as one unit. */
  exits: number
  /** Whether `once` returns promises. */
  awaits?: boolean
  begin(): Work
  /** The same work without the part that the route is about. */
  without?: { part: string; kind: Kind; begin(): Work }
}

/** A route where JavaScript does one thing again and again. */
export class RepeatedRoute implements BenchRoute {
  readonly name: RouteName
  readonly unit: string
  readonly kind: Kind | null
  readonly others: readonly Kind[]
  readonly without?: Without
  readonly about: string
  readonly unitsPerTime = 1
  readonly timing: string
  readonly #spec: RepeatedSpec

  constructor(spec: RepeatedSpec) {
    this.#spec = spec
    this.name = spec.name
    this.unit = spec.unit
    this.kind = spec.kind
    this.others = spec.others ?? []
    this.about = spec.about
    this.timing = spec.timing
    if (spec.without) {
      const { part, kind, begin } = spec.without
      this.without = { part, kind, each: (units) => this.#each(begin, units) }
    }
  }

  units(exits: number): number {
    return Math.max(Math.round(exits / this.#spec.exits), 5)
  }

  probe(): void {
    this.#spec.begin()[Symbol.dispose]()
  }

  async total(units: number): Promise<number> {
    using work = this.#spec.begin()
    const start = process.hrtime.bigint()
    // What is not awaited does not pay for a turn of the microtasks.
    if (this.#spec.awaits) for (let done = 0; done < units; done += 1) await work.once()
    else for (let done = 0; done < units; done += 1) work.once()
    return since(start)
  }

  each(units: number): Promise<readonly number[]> {
    return this.#each(this.#spec.begin, units)
  }

  async #each(begin: () => Work, units: number): Promise<readonly number[]> {
    using work = begin()
    const times: number[] = []
    for (let done = 0; done < units; done += 1) {
      const start = process.hrtime.bigint()
      if (this.#spec.awaits) await work.once()
      else work.once()
      times.push(since(start))
    }
    return times
  }
}
