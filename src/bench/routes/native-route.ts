import type { Kind } from '../document.ts'
import type { RouteName } from '../route-names.ts'
import { type BenchRoute, since } from './route.ts'

/** What is done so often in one go. */
export interface NativeWork extends Disposable {
  many(units: number): void
}

/** What makes one such route. */
export interface NativeSpec {
  name: RouteName
  unit: string
  kind: Kind | null
  about: string
  timing: string
  /** As many exits cost about as much as one unit; less than 1 if it is cheaper. */
  exits: number
  /** Units of which one time is the mean. */
  perTime: number
  begin(): Promise<NativeWork>
  /** Fails with `ERR_KVM_CAPABILITY` where it cannot be measured. */
  probe?(): void
}

/** A route of `vmexit/process`, or of what it is worth comparing with. */
export class NativeRoute implements BenchRoute {
  readonly name: RouteName
  readonly unit: string
  readonly kind: Kind | null
  readonly others = []
  readonly about: string
  readonly unitsPerTime: number
  readonly timing: string
  readonly #spec: NativeSpec

  constructor(spec: NativeSpec) {
    this.#spec = spec
    this.name = spec.name
    this.unit = spec.unit
    this.kind = spec.kind
    this.about = spec.about
    this.timing = spec.timing
    this.unitsPerTime = spec.perTime
  }

  units(exits: number): number {
    return Math.max(Math.round(exits / this.#spec.exits), 5)
  }

  probe(): void {
    this.#spec.probe?.()
  }

  async total(units: number): Promise<number> {
    using work = await this.#spec.begin()
    work.many(1)
    const start = process.hrtime.bigint()
    work.many(units)
    return since(start)
  }

  async each(units: number, signal: AbortSignal): Promise<readonly number[]> {
    using work = await this.#spec.begin()
    const times: number[] = []
    for (let left = units; left > 0; left -= this.unitsPerTime) {
      signal.throwIfAborted()
      const start = process.hrtime.bigint()
      work.many(this.unitsPerTime)
      times.push(since(start) / this.unitsPerTime)
    }
    return times
  }
}
