import { basename } from 'node:path'

import { fail, fromFailure, raise, take } from '../../native/errors.ts'
import { registerWords } from '../../native/block.ts'
import { native } from '../../native/native.ts'
import type { NativeDescription, NativeDisk } from '../../native/seam.ts'
import { checkBoolean, checkPath } from '../../options/check.ts'
import type { Disk } from '../../options/virtio/disks.ts'
import type { NetworkCard } from '../../options/virtio/network.ts'
import { type Route, routesKey } from '../../options/routes.ts'
import { checkShape, otherwise } from '../../options/shape.ts'
import { type Registers, toRegisters } from '../../results/registers.ts'
import type { Content } from './content.ts'
import { readContent, writeContent } from './file.ts'
import type { Parts } from './parts.ts'
import { checkStates, putStatesBack, saveStates } from './states.ts'

/**
 * What differs between a further machine and the one that a snapshot was taken of.
 *
 * @category Snapshots
 */
export interface ForkOptions {
  /**
   * Routes in the place of those with the same claims. Those that are not listed stay: Rust answers
   * as before, and handlers are the same functions and devices. A device with `save` must be
   * listed, since its object is the first machine's.
   */
  routes?: readonly Route[]
  /**
   * The network cards, all of them in their order, with the addresses that they have. A card's
   * stream must be another one; passt is run again by itself.
   */
  network?: readonly NetworkCard[]
  /**
   * Disks in the place of those that the first machine has; `undefined` for one that stays. A disk
   * that both would write to must be replaced, by a copy of what it was then, as long as the first
   * machine is open or once it was written to; a `device` also after `Snapshot.load`.
   */
  disks?: readonly (Disk | undefined)[]
}

/**
 * What makes a machine of a snapshot.
 *
 * @category Snapshots
 */
export interface SnapshotOptions extends ForkOptions {
  /** Where the machine goes on. */
  snapshot: Snapshot
}

/**
 * What a machine made of a snapshot has, in the words of its options. Of a route that JavaScript
 * answers it says where it is: the functions are not in it.
 *
 * @category Snapshots
 */
export interface SnapshotDescription extends Readonly<NativeDescription> {}

/**
 * How a snapshot is read from a file.
 *
 * @category Snapshots
 */
export interface LoadOptions {
  /**
   * Routes for claims that JavaScript answers: a file has no functions. What is not given here is
   * given to `new VirtualMachine({ snapshot, routes })`. A device belongs to the first machine.
   */
  routes?: readonly Route[]
  /** Compares all pages with their checksums, which reads the whole file. Default false. */
  verify?: boolean
  /**
   * Reads the pages into memory. Default false: the file is mapped and has to stay as it is; a file
   * that is cut short later ends the process by SIGBUS.
   */
  copy?: boolean
}

const loadShape = {
  routes: routesKey,
  verify: otherwise(false, checkBoolean),
  copy: otherwise(false, checkBoolean),
}

/**
 * A page of memory that is not the same in two snapshots.
 *
 * @category Snapshots
 */
export interface PageDifference {
  /** Its address. */
  readonly gpa: number
  /** Its 4096 bytes in the snapshot that was asked; a copy. */
  readonly before: Uint8Array
  /** Its 4096 bytes in the other one; a copy. */
  readonly after: Uint8Array
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
 *
 * @category Snapshots
 */
export class Snapshot implements Disposable {
  static {
    contentOf = (snapshot) => snapshot.#content
  }

  /**
   * The places of devices in TypeScript without `save`, such as `port 0x60`, and disks that are
   * written, such as `disks[0] (root.img)`: what they are is not in the snapshot, and a restore
   * changes nothing about them. For a disk that was written to after the snapshot it is
   * `ERR_SNAPSHOT`.
   */
  readonly stateless: readonly string[]
  readonly #content: Content

  /** @internal */
  constructor(content: Content) {
    this.#content = content
    const stateless = content.handlers.filter(({ device }) => device && !device.save)
    const { disks } = take(content.native.description())
    this.stateless = [...stateless.map(({ place }) => place as string), ...lastingDisks(disks)]
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
    take(this.#content.native.registers())
    return toRegisters(registerWords)
  }

  /**
   * What a machine made of it has: which routes of a file are yet to be bound, among others.
   *
   * @throws {VmError} `ERR_SNAPSHOT` after `close()`.
   *
   * @example
   * ```ts
   * using vm = new VirtualMachine({ mode: 'long', payload: guests.hello, serial: true })
   * const { memoryBytes, serial } = vm.snapshot().description
   * console.log(memoryBytes, serial) // 2097152 true
   * ```
   */
  get description(): SnapshotDescription {
    return take(this.#content.native.description())
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
   * Writes it into a file, in the place of one that may be there: aside first, and then renamed.
   * Only pages in use are written. The states of devices are part of it, functions are not.
   *
   * @throws {VmError} `ERR_SNAPSHOT` with `call` and `errno`, and for a state that cannot be
   * written; `ERR_LIMIT`, `ERR_INVALID_OPTION`. What was there is then as it was.
   *
   * @example
   * ```ts
   * import { Snapshot, VirtualMachine, guests } from 'vmexit'
   *
   * using vm = new VirtualMachine({ mode: 'long', payload: guests.hello })
   * using base = vm.snapshot()
   * await base.save('hello.snapshot')
   * using loaded = await Snapshot.load('hello.snapshot')
   * using further = new VirtualMachine({ snapshot: loaded })
   * console.log(further.runSync().reason) // pio-out
   * ```
   */
  async save(path: string | URL): Promise<void> {
    await writeContent(this.#content, checkPath('path', path))
  }

  /**
   * Reads a file that `save` has written, on this host or one like it. The pages are mapped and not
   * read, so that it takes as long for a large memory as for a small one.
   *
   * @throws {VmError} `ERR_SNAPSHOT` for a file that cannot be read, is damaged, is of another
   * version, or does not fit this host, with the reason; `ERR_INVALID_OPTION`.
   *
   * @example
   * ```ts
   * import { Snapshot, VirtualMachine, guests } from 'vmexit'
   *
   * using vm = new VirtualMachine({ mode: 'long', payload: guests.hello })
   * await vm.snapshot().save('hello.snapshot')
   * using loaded = await Snapshot.load('hello.snapshot', { verify: true })
   * console.log(loaded.registers.rip) // 0n
   * ```
   */
  static async load(path: string | URL, options: LoadOptions = {}): Promise<Snapshot> {
    const { routes, verify, copy } = checkShape('options', options, loadShape, '')
    return new Snapshot(await readContent(checkPath('path', path), routes, verify, copy))
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

/** The names of disks whose content is not in a snapshot, as the core calls them. */
function lastingDisks(disks: readonly NativeDisk[]): string[] {
  return [...disks.entries()]
    .filter(([, { readOnly, volatile }]) => !readOnly && !volatile)
    .map(
      ([index, { file }]) => `disks[${index}] (${file === undefined ? 'device' : basename(file)})`,
    )
}

/** The state of an idle machine. */
export function takeSnapshot(parts: Parts): Snapshot {
  const { vcpus, symbols, hasSerial, summary, network } = parts
  const names = [...parts.ports.keys()].filter((name) => typeof name === 'string')
  const ports = parts.ports.size > 0 ? names : undefined
  const handlers = [...parts.handlers.values()].filter(({ place }) => place !== undefined)
  // Before the machine's: what a device writes into memory for it belongs to the snapshot.
  const states = saveStates(handlers)
  const taken = take(native.NativeSnapshot.take(parts.machine))
  const devices = { symbols, network, ports, disks: parts.disks }
  return new Snapshot({ native: taken, vcpus, hasSerial, summary, handlers, states, ...devices })
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
