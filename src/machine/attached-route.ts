import type { RouteCounters } from './counters.ts'

/**
 * A route that `vm.attach` has added. Disposing of it takes the route away: its device is told, and
 * what a PC's own device had there is that device's again.
 *
 * @example
 * ```ts
 * using vm = new VirtualMachine({ mode: 'long', payload: guests.hello })
 * {
 *   using text = vm.attach({ port: 0xe9, to: 'count' })
 *   vm.runSync()
 *   console.log(text.counters().writes) // 14
 * }
 * console.log(vm.counters().routes.length) // 0
 * ```
 *
 * @category Routes
 */
export class AttachedRoute implements Disposable {
  readonly #count: () => RouteCounters | undefined
  readonly #detach: () => () => void
  #last: RouteCounters = { reads: 0, writes: 0 }
  #gone = false

  /** `detach` takes the route away, and returns what tells its device. @internal */
  constructor(count: () => RouteCounters | undefined, detach: () => () => void) {
    this.#count = count
    this.#detach = detach
  }

  /**
   * What was counted while the route was there; also afterwards.
   *
   * @example
   * ```ts
   * using vm = new VirtualMachine({ mode: 'long', payload: guests.hello })
   * const route = vm.attach({ port: 0xe9, to: 'discard' })
   * vm.runSync()
   * console.log(route.counters()) // { reads: 0, writes: 14 }
   * ```
   */
  counters(): RouteCounters {
    if (!this.#gone) this.#last = this.#count() ?? this.#last
    return this.#last
  }

  /**
   * Takes the route away, once; `using` calls it. Nothing happens after `vm.close()`.
   *
   * @throws {VmError} `ERR_VM_BUSY` during a run, and the route stays.
   */
  [Symbol.dispose](): void {
    if (this.#gone) return
    this.counters()
    const tell = this.#detach()
    this.#gone = true
    tell()
  }
}
