import { Autopsy } from '../results/autopsy.ts'
import { describeFault } from '../results/fault.ts'
import type { Registers } from '../results/registers.ts'
import type { FaultStop } from './engine/types.ts'

/** What a {@link GuestFault} is made of. */
export interface FaultParts {
  readonly message: string
  readonly name: string
  readonly registers: Registers
  readonly vector?: number
  readonly errorCode?: number
  readonly rip?: bigint
  readonly address?: bigint
  readonly exitCode?: number
  readonly explain?: () => Autopsy
}

/**
 * A call that the library's own doing ended: a fault of the processor, `exit()`, `abort()`, or an
 * import called with what its signature does not allow. Until `reset()` the library takes no call.
 *
 * @example
 * ```ts
 * import { readFile } from 'node:fs/promises'
 * import { GuestFault, instantiate } from 'vmexit/process'
 *
 * using lib = await instantiate(await readFile('lib.elf'))
 * try {
 *   lib.exports.wild()
 * } catch (error) {
 *   if (error instanceof GuestFault) console.log(error.name, error.address) // #PF 0n
 *   lib.reset()
 * }
 * ```
 *
 * @category Process
 */
export class GuestFault extends Error {
  /**
   * The exception's vector, 0 to 31; `undefined` if it was none, but `exit()`, a signal that the
   * library sent itself, or an import.
   */
  readonly vector: number | undefined
  /**
   * The exception's name, `'#PF'`; otherwise `'exit'`, the signal's name, such as `'SIGABRT'`, or
   * for what an import or a result was given `'EFAULT'` (no string there) or `'ERANGE'`.
   */
  override readonly name: string
  /** What the processor pushed as the error code; `undefined` if the vector has none. */
  readonly errorCode: number | undefined
  /** The instruction, or the one after it. */
  readonly rip: bigint
  /** The linear address that could not be reached, of `'#PF'` (CR2) and `'EFAULT'`. */
  readonly address: bigint | undefined
  /** What `exit()` was called with. */
  readonly exitCode: number | undefined
  /** The general registers then. */
  readonly registers: Registers
  #explain: () => Autopsy

  /** @internal */
  constructor(parts: FaultParts) {
    super(parts.message)
    this.vector = parts.vector
    this.name = parts.name
    this.errorCode = parts.errorCode
    this.rip = parts.rip ?? parts.registers.rip
    this.address = parts.address
    this.exitCode = parts.exitCode
    this.registers = parts.registers
    this.#explain = parts.explain ?? (() => untold(parts.message))
  }

  static {
    // What a stack trace begins with.
    Object.defineProperty(this.prototype, 'name', { value: 'GuestFault', writable: true })
  }

  /**
   * Why it happened, as far as registers and memory tell, as `result.explain()` of a machine's run.
   * Ask before `reset()` and before `close()`.
   *
   * @throws {VmError} `ERR_VM_CLOSED`.
   *
   * @example
   * ```ts
   * import { readFile } from 'node:fs/promises'
   * import { GuestFault, instantiate } from 'vmexit/process'
   *
   * using lib = await instantiate(await readFile('lib.elf'))
   * try {
   *   lib.exports.wild()
   * } catch (error) {
   *   if (error instanceof GuestFault) console.log(error.explain().vector) // 14
   * }
   * ```
   */
  explain(): Autopsy {
    return this.#explain()
  }

  /** Has it explained while the machine is there. @internal */
  keep(): void {
    try {
      const told = this.#explain()
      this.#explain = () => told
    } catch {
      // Then `explain()` says why it cannot.
    }
  }
}

/** What no processor has refused. */
const untold = (title: string): Autopsy =>
  new Autopsy({ title, vector: null, instruction: null, operands: '', findings: [], walk: null })

/**
 * A call that took longer than `timeoutMs`, its imports included. Until `reset()` the library takes
 * no call.
 *
 * @example
 * ```ts
 * import { readFile } from 'node:fs/promises'
 * import { GuestTimeout, instantiate } from 'vmexit/process'
 *
 * using lib = await instantiate(await readFile('lib.elf'), { timeoutMs: 20 })
 * try {
 *   lib.exports.spin()
 * } catch (error) {
 *   if (error instanceof GuestTimeout) console.log(error.timeoutMs) // 20
 *   lib.reset()
 * }
 * ```
 *
 * @category Process
 */
export class GuestTimeout extends Error {
  /** The option of that name. */
  readonly timeoutMs: number
  /** The general registers then. */
  readonly registers: Registers

  /** @internal */
  constructor(what: string, timeoutMs: number, registers: Registers) {
    super(`${what} took longer than ${timeoutMs} ms, at rip 0x${registers.rip.toString(16)}`)
    this.timeoutMs = timeoutMs
    this.registers = registers
  }

  static {
    this.prototype.name = 'GuestTimeout'
  }
}

/** What the processor refused. */
export function toGuestFault(what: string, stop: FaultStop): GuestFault {
  const { fault, registers } = stop
  const { vector, name, errorCode, address, rip } = fault
  return new GuestFault({
    message: `${what}: ${describeFault(fault)}, at rip 0x${rip.toString(16)}`,
    vector,
    name,
    rip,
    registers,
    explain: () => stop.explain(),
    ...(errorCode !== undefined && { errorCode }),
    ...(address !== undefined && { address }),
  })
}
