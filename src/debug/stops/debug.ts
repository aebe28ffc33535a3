import {
  checkBoolean,
  checkFunction,
  checkInteger,
  checkKeys,
  checkObject,
  checkUint64,
  checkWord,
} from '../../options/check.ts'
import { VmError, fromFailure, raise, take } from '../../native/errors.ts'
import { native } from '../../native/native.ts'
import type { NativeMachine } from '../../native/seam.ts'
import type { Symbols } from '../symbols.ts'
import type { StopHandlers } from './handlers.ts'
import type { StopHandler } from './hit.ts'
import { type DebugMeans, meansOf } from './means.ts'
import { Breakpoint, Steps, Watchpoint } from './stop.ts'

const { NativeWatchOn: On } = native

/**
 * What a watchpoint is for.
 *
 * @category Debugging
 */
export interface WatchOptions {
  /** Bytes: 1, 2, 4 or 8. */
  readonly size: 1 | 2 | 4 | 8
  /** Which accesses count. */
  readonly on: 'write' | 'read' | 'access'
}

/**
 * Options of `onStep`.
 *
 * @category Debugging
 */
export interface StepsOptions {
  /** Index of the vCPU; default 0. */
  readonly vcpu?: number
  /** Whether the other vCPUs stand still meanwhile; default `false`. */
  readonly alone?: boolean
}

/** What the stops of a machine need of it. @internal */
export interface DebugParts {
  readonly machine: NativeMachine
  readonly vcpus: number
  readonly symbols: Symbols
  readonly stops: StopHandlers
}

/**
 * Breakpoints and watchpoints of a machine. They are added and removed while it is idle or paused,
 * and count for all vCPUs. A snapshot has none of them.
 *
 * @category Debugging
 */
export class Debug {
  readonly #parts: DebugParts

  /** @internal */
  constructor(parts: DebugParts) {
    this.#parts = parts
  }

  /**
   * Stops before an instruction: at a linear address, at a symbol of the image such as `'main+4'`,
   * or at a guest physical address. Without a handler the run ends there, with reason
   * `'breakpoint'`; the next one goes on past it.
   *
   * While a vCPU is in the guest, and only then, a byte of the instruction may be another one
   * (`means.breakpoint`): a guest that reads its own code may see it. Nothing else does.
   *
   * @throws {VmError} `ERR_INVALID_OPTION`, `ERR_VM_BUSY` during a run that is not paused,
   * `ERR_VM_CLOSED`, `ERR_LIMIT` for more than 256 stops.
   *
   * @example
   * ```ts
   * const image = Uint8Array.of(0xff, 0xc0, 0xff, 0xc0, 0xf4) // inc eax; inc eax; hlt
   * using vm = new VirtualMachine({ mode: 'long', payload: { image } })
   * using point = vm.debug.breakpoint(2n, ({ registers }) => console.log(registers().rax)) // 1n
   * console.log(vm.runSync().reason, point.hits) // hlt 1
   * ```
   */
  breakpoint(
    at: bigint | number | string | { gpa: bigint | number },
    handler?: StopHandler,
  ): Breakpoint {
    checkFunction('handler', handler)
    const { machine, stops } = this.#parts
    const isPhysical = typeof at === 'object' && at !== null
    const address = isPhysical ? this.#gpa(at) : this.#linear(at)
    const id = take(machine.addBreakpoint(address, isPhysical, handler !== undefined)) as number
    stops.add(id, handler)
    return new Breakpoint(address, this.#owner(id))
  }

  /**
   * Stops after an instruction that accesses memory at a linear address. Without a handler the run
   * ends there, with reason `'watchpoint'`. Where the processor has no watchpoints that work
   * (`means.watch`), every instruction is a step, which costs as much as an exit; what a device
   * writes is then seen only if it changes the bytes.
   *
   * @throws {VmError} As of `breakpoint`.
   *
   * @example
   * ```ts
   * // movl $5, 0x800; hlt
   * const image = Uint8Array.of(0xc7, 0x04, 0x25, 0, 8, 0, 0, 5, 0, 0, 0, 0xf4)
   * using vm = new VirtualMachine({ mode: 'long', payload: { image } })
   * using watch = vm.debug.watch(0x800n, { size: 4, on: 'write' }, ({ before, after }) => {
   *   console.log(before?.[0], after?.[0]) // 0 5
   * })
   * console.log(vm.runSync().reason, watch.hits) // hlt 1
   * ```
   */
  watch(
    address: bigint | number | string,
    options: WatchOptions,
    handler?: StopHandler,
  ): Watchpoint {
    checkFunction('handler', handler)
    const linear = this.#linear(address)
    const given = checkObject('options', options)
    checkKeys('options', given, ['size', 'on'])
    const size = checkInteger('size', given['size'], 1, 8)
    if ((size & (size - 1)) !== 0)
      return raise(new VmError('ERR_INVALID_OPTION', `size must be 1, 2, 4 or 8, got ${size}`))
    const on = checkWord('on', given['on'], ['write', 'read', 'access'] as const)
    const accesses = { write: On.Write, read: On.Read, access: On.Access }[on]
    const asks = handler !== undefined
    const id = take(this.#parts.machine.addWatchpoint(linear, size, accesses, asks)) as number
    this.#parts.stops.add(id, handler)
    return new Watchpoint(linear, size, this.#owner(id))
  }

  /**
   * Calls a handler after every instruction of a vCPU, which costs as much as an exit.
   *
   * @throws {VmError} As of `breakpoint`.
   *
   * @example
   * ```ts
   * using vm = new VirtualMachine({ mode: 'long', payload: guests.hello })
   * const addresses: bigint[] = []
   * using steps = vm.debug.onStep(({ address }) => void addresses.push(address))
   * vm.runSync({ onExit: () => undefined })
   * console.log(addresses.length === steps.hits) // true
   * ```
   */
  onStep(handler: StopHandler, options: StepsOptions = {}): Steps {
    if (typeof handler !== 'function')
      return raise(new VmError('ERR_INVALID_OPTION', 'handler must be a function'))
    const given = checkObject('options', options)
    checkKeys('options', given, ['vcpu', 'alone'])
    const { vcpu = 0, alone = false } = given
    const index = checkInteger('vcpu', vcpu, 0, this.#parts.vcpus - 1)
    const isAlone = checkBoolean('alone', alone)
    const id = take(this.#parts.machine.addSteps(index, isAlone, true)) as number
    this.#parts.stops.add(id, handler)
    return new Steps(index, this.#owner(id))
  }

  /**
   * By what this machine stops where its first vCPU is. The first call in a process finds out by
   * small guests what works on this KVM, which takes some milliseconds.
   *
   * @throws {VmError} `ERR_VM_BUSY`, `ERR_VM_CLOSED`, `ERR_KVM_UNAVAILABLE`, `ERR_KVM_IOCTL`.
   *
   * @example
   * ```ts
   * using vm = new VirtualMachine({ mode: 'long', payload: guests.hello })
   * console.log(vm.debug.means.step) // true
   * ```
   */
  get means(): DebugMeans {
    return meansOf(this.#parts.machine)
  }

  #linear(at: bigint | number | string): bigint {
    if (typeof at === 'number') return checkUint64('address', at, true)
    return this.#parts.symbols.resolve(at)
  }

  #gpa(at: { gpa: bigint | number }): bigint {
    checkKeys('address', at, ['gpa'])
    return checkUint64('gpa', at.gpa, true)
  }

  #owner(id: number) {
    const { machine, stops } = this.#parts
    return {
      hits: () => stops.hits(id),
      remove: () => {
        const failure = machine.removeStop(id)
        // A machine that is closed has none.
        if (failure && failure.code !== 'ERR_VM_CLOSED') raise(fromFailure(failure))
      },
    }
  }
}
