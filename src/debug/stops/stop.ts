/** What a stop knows of its machine. */
interface Owner {
  hits(): number
  remove(): void
}

/** A stop of a machine, until it is removed. */
abstract class Stop implements Disposable {
  readonly #owner: Owner
  #removed = false

  /** @internal */
  constructor(owner: Owner) {
    this.#owner = owner
  }

  /** How often a vCPU has come to it. */
  get hits(): number {
    return this.#owner.hits()
  }

  /**
   * Removes it; a further call does nothing.
   *
   * @throws {VmError} `ERR_VM_BUSY` during a run that is not paused, and it stays.
   */
  remove(): void {
    if (this.#removed) return
    this.#owner.remove()
    this.#removed = true
  }

  /** Does what `remove()` does; `using` calls it. */
  [Symbol.dispose](): void {
    this.remove()
  }
}

/**
 * A breakpoint, see `vm.debug.breakpoint`.
 *
 * @category Debugging
 */
export class Breakpoint extends Stop {
  /** Where it is. */
  readonly address: bigint

  /** @internal */
  constructor(address: bigint, owner: Owner) {
    super(owner)
    this.address = address
  }
}

/**
 * A watchpoint, see `vm.debug.watch`.
 *
 * @category Debugging
 */
export class Watchpoint extends Stop {
  /** The first linear address. */
  readonly address: bigint
  /** Bytes. */
  readonly size: number

  /** @internal */
  constructor(address: bigint, size: number, owner: Owner) {
    super(owner)
    this.address = address
    this.size = size
  }
}

/**
 * Steps of a vCPU, see `vm.debug.onStep`.
 *
 * @category Debugging
 */
export class Steps extends Stop {
  /** Index of the vCPU. */
  readonly vcpu: number

  /** @internal */
  constructor(vcpu: number, owner: Owner) {
    super(owner)
    this.vcpu = vcpu
  }
}
