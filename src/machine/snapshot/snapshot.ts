import { fail, fromFailure, raise, take } from '../../native/errors.ts'
import { native } from '../../native/native.ts'
import type { NativeSnapshot } from '../../native/seam.ts'
import type { Handlers, Route } from '../../options/routes.ts'
import type { Registers } from '../registers.ts'
import type { Summary } from '../summary.ts'
import type { Parts } from './parts.ts'
import { type States, checkStates, putStatesBack, saveStates } from './states.ts'

/** What differs between a further machine and the one that a snapshot was taken of. */
export interface ForkOptions {
  /**
   * Routes in the place of those with the same claims. Those that are not listed stay: Rust answers
   * as before, and handlers are the same functions and devices. A device with `save` must be
   * listed, since its object is the first machine's.
   */
  routes?: readonly Route[]
}

/** What makes a machine of a snapshot. */
export interface SnapshotOptions extends ForkOptions {
  /** Where the machine goes on. */
  snapshot: Snapshot
}

/** A page of memory that is not the same in two snapshots. */
export interface PageDifference {
  /** Its address. */
  readonly gpa: number
  /** Its 4096 bytes in the snapshot that was asked; a copy. */
  readonly before: Uint8Array
  /** Its 4096 bytes in the other one; a copy. */
  readonly after: Uint8Array
}

/** What a snapshot holds. */
export interface Content {
  readonly native: NativeSnapshot
  readonly vcpus: number
  readonly hasSerial: boolean
  readonly summary: Summary
  /** Of the caller's routes, in their order. */
  readonly handlers: readonly Handlers[]
  /** Of devices that save theirs, by the places of their routes. */
  readonly states: States
}

/** What a snapshot holds; machines ask for it. */
export let contentOf: (snapshot: Snapshot) => Content

/**
 * A machine as a value: memory, vCPUs, interrupts, devices, and what posted routes and consoles
 * have not handed over. Nothing changes it. `vm.snapshot()` takes one, `vm.restore(base)` goes back
 * to it, `new VirtualMachine({ snapshot: base })` makes a further machine that goes on from it.
 *
 * Machines share its pages until they write. The pages live until `close()` and the end of the last
 * machine that uses them.
 *
 * @example
 * ```ts
 * using vm = new VirtualMachine({ mode: 'long', payload: guests.hello })
 * using base = vm.snapshot()
 * vm.runSync({ onExit: () => undefined })
 * console.log(vm.registers().rax, base.registers.rax) // 42n 0n
 * vm.restore(base)
 * console.log(vm.registers().rax) // 0n
 * ```
 */
export class Snapshot implements Disposable {
  static {
    contentOf = (snapshot) => snapshot.#content
  }

  /**
   * The places of devices in TypeScript without `save`, such as `port 0x60`: what they are is not
   * in the snapshot, and a restore changes nothing about them.
   */
  readonly stateless: readonly string[]
  readonly #content: Content

  /** @internal */
  constructor(content: Content) {
    this.#content = content
    const stateless = content.handlers.filter(({ device }) => device && !device.save)
    this.stateless = stateless.map(({ place }) => place as string)
  }

  /** Whether a value is a snapshot. @internal */
  static is(value: unknown): value is Snapshot {
    return typeof value === 'object' && value !== null && #content in value
  }

  /**
   * General registers of vCPU 0.
   *
   * @throws {VmError} `ERR_SNAPSHOT` after `close()`.
   */
  get registers(): Registers {
    return take(this.#content.native.registers()) as Registers
  }

  /**
   * The pages that are not the same in another snapshot, in the order of addresses; each is looked
   * for when it is asked for. Memory that both have never used is not read.
   *
   * @throws {VmError} `ERR_SNAPSHOT` when the other one has other memory, or one of them is closed;
   * `ERR_INVALID_OPTION`.
   *
   * @example
   * ```ts
   * using vm = new VirtualMachine({ mode: 'long', payload: guests.hello })
   * using before = vm.snapshot()
   * vm.memory.writeUint8(0x5123, 7)
   * using after = vm.snapshot()
   * for (const page of before.diff(after)) {
   *   console.log(page.gpa, page.before[0x123], page.after[0x123]) // 20480 0 7
   * }
   * ```
   */
  *diff(other: Snapshot): Generator<PageDifference, void> {
    const one = this.#content.native
    const two = checkSnapshot('other', other).#content.native
    for (let after = -1; ;) {
      const found = take(one.difference(two, after))
      if (!found) return
      const { page, ...difference } = found
      after = page
      yield difference
    }
  }

  /**
   * Ends its use, which `using` does at the end of the block: from then on it is `ERR_SNAPSHOT`.
   * Machines that were made of it go on.
   *
   * @example
   * ```ts
   * using vm = new VirtualMachine({ mode: 'long', payload: guests.hello })
   * const base = vm.snapshot()
   * using other = new VirtualMachine({ snapshot: base })
   * base.close()
   * console.log(other.runSync().reason) // pio-out
   * ```
   */
  close(): void {
    this.#content.native.close()
  }

  /** Does what `close()` does; `using` calls it. */
  [Symbol.dispose](): void {
    this.close()
  }
}

/** A snapshot. */
export function checkSnapshot(name: string, value: unknown): Snapshot {
  if (Snapshot.is(value)) return value
  return fail('ERR_INVALID_OPTION', `${name} must be a Snapshot`)
}

/** The state of an idle machine. */
export function takeSnapshot(parts: Parts): Snapshot {
  const { vcpus, hasSerial, summary } = parts
  const handlers = [...parts.handlers.values()].filter(({ place }) => place !== undefined)
  // Before the machine's: what a device writes into memory for it belongs to the snapshot.
  const states = saveStates(handlers)
  const taken = take(native.NativeSnapshot.take(parts.machine))
  return new Snapshot({ native: taken, vcpus, hasSerial, summary, handlers, states })
}

/** Makes an idle machine what it was. */
export function putBack(parts: Parts, snapshot: unknown, done: () => void): void {
  const { native: saved, states } = contentOf(checkSnapshot('snapshot', snapshot))
  checkStates(states, parts.handlers.values())
  const failure = saved.restore(parts.machine)
  if (failure) raise(fromFailure(failure))
  done()
  if (states.size > 0) putStatesBack(states, parts.handlers.values())
}
