import { ending, numbers, written } from '../native/block.ts'
import type { NativeExit, NativeRest } from '../native/seam.ts'
import { exitReasons } from '../native/words.ts'

/**
 * Bytes of one access that a device or a posted route sees.
 *
 * @category Exits
 */
export type AccessSize = 1 | 2 | 4 | 8

/**
 * Fields of a port access (KVM API §5, `io` of `struct kvm_run`).
 *
 * @category Exits
 */
export interface PortAccess {
  /** The I/O port, 0 to 0xffff. */
  readonly port: number
  /** Bytes of one item. */
  readonly size: 1 | 2 | 4
  /** Items, at least 1; one exit of a string instruction carries several, up to a page of them. */
  readonly count: number
}

/**
 * Fields of an access to an address without memory (KVM API §5, `mmio` of `struct kvm_run`).
 *
 * @category Exits
 */
export interface MmioAccess {
  /** Guest physical address of the first byte. */
  readonly gpa: number
  /** Bytes, 1 to 8. KVM cuts an access at a page border, so 3, 5, 6 and 7 occur. */
  readonly size: number
}

/**
 * What a write carries.
 *
 * @category Exits
 */
export interface Written {
  /** The first item, little-endian: a number up to 4 bytes, a bigint above. */
  readonly value: number | bigint
  /** All items, `size` times `count` bytes in the order in which the guest wrote them. */
  readonly data: Uint8Array
}

/**
 * `KVM_EXIT_IO`, direction out: the guest wrote to a port.
 *
 * @category Exits
 */
export interface PioOutExit extends PortAccess, Written {
  /** Tells this exit from the others. */
  readonly reason: 'pio-out'
}

/**
 * `KVM_EXIT_IO`, direction in: the guest reads a port and waits for the value.
 *
 * @category Exits
 */
export interface PioInExit extends PortAccess {
  /** Tells this exit from the others. */
  readonly reason: 'pio-in'
}

/**
 * `KVM_EXIT_MMIO` with `is_write`: the guest wrote where no memory is, or to a read-only slot.
 *
 * @category Exits
 */
export interface MmioWriteExit extends MmioAccess, Written {
  /** Tells this exit from the others. */
  readonly reason: 'mmio-write'
}

/**
 * `KVM_EXIT_MMIO`: the guest reads where no memory is and waits for the value.
 *
 * @category Exits
 */
export interface MmioReadExit extends MmioAccess {
  /** Tells this exit from the others. */
  readonly reason: 'mmio-read'
}

/**
 * `KVM_EXIT_HLT`: the guest executed `hlt`. A further run continues after it.
 *
 * @category Exits
 */
export interface HltExit {
  /** Tells this exit from the others. */
  readonly reason: 'hlt'
}

/**
 * `KVM_EXIT_SHUTDOWN`: a triple fault, or what this KVM counts as one. With `faults: 'report'` a
 * run ends with `'fault'` before.
 *
 * @category Exits
 */
export interface ShutdownExit {
  /** Tells this exit from the others. */
  readonly reason: 'shutdown'
  /** The exception for which the vCPU found no handler, if KVM says it. */
  readonly vector?: number
  /**
   * Whether registers are the guest's, as they were then; otherwise KVM has reset the vCPU, as it
   * does on AMD processors.
   */
  readonly registersKept: boolean
}

/**
 * `KVM_EXIT_FAIL_ENTRY`: the processor refused the guest's state.
 *
 * @category Exits
 */
export interface FailEntryExit {
  /** Tells this exit from the others. */
  readonly reason: 'fail-entry'
  /** The processor's own code: VM-instruction error or SVM exit code. */
  readonly hardwareEntryFailureReason: bigint
  /** The host CPU on which it failed. */
  readonly cpu: number
}

/**
 * `KVM_EXIT_INTERNAL_ERROR`: KVM could not continue.
 *
 * @category Exits
 */
export interface InternalErrorExit {
  /** Tells this exit from the others. */
  readonly reason: 'internal-error'
  /**
   * `KVM_INTERNAL_ERROR_…`: 1 emulation, 2 simultaneous exceptions, 3 delivery of an event, 4
   * unexpected exit.
   */
  readonly suberror: number
  /** The words that KVM adds, up to 16. */
  readonly data: readonly bigint[]
  /** What KVM could not emulate, when it says so; up to 15 bytes. */
  readonly instructionBytes: Uint8Array
}

/**
 * `KVM_EXIT_DEBUG`: a single step or a breakpoint.
 *
 * @category Exits
 */
export interface DebugExit {
  /** Tells this exit from the others. */
  readonly reason: 'debug'
  /** The exception's vector, 1 or 3. */
  readonly exception: number
  /** Linear address of the instruction. */
  readonly pc: bigint
  /** What was hit (Intel SDM vol. 3B §18.2.3). */
  readonly dr6: bigint
  /** What was armed (Intel SDM vol. 3B §18.2.4). */
  readonly dr7: bigint
}

/**
 * `KVM_EXIT_SYSTEM_EVENT`: the guest asks for a reset, a shutdown or the like.
 *
 * @category Exits
 */
export interface SystemEventExit {
  /** Tells this exit from the others. */
  readonly reason: 'system-event'
  /** `KVM_SYSTEM_EVENT_…`. */
  readonly type: number
  /** The words that KVM adds, up to 16. */
  readonly data: readonly bigint[]
}

/**
 * Any other `KVM_EXIT_…`, by number.
 *
 * @category Exits
 */
export interface UnknownExit {
  /** Tells this exit from the others. */
  readonly reason: 'unknown'
  /** Its number. */
  readonly exitReason: number
  /** `hw.hardware_exit_reason`. */
  readonly hardwareExitReason: bigint
}

/**
 * A port or MMIO access: what `onExit` is asked about. `reason` tells which, and narrows the type.
 *
 * @category Exits
 */
export type AccessExit = PioOutExit | PioInExit | MmioWriteExit | MmioReadExit

/**
 * A VM exit with everything that KVM reports about it (KVM API §5, `struct kvm_run`). `reason`
 * narrows the type.
 *
 * @example
 * ```ts
 * using vm = new VirtualMachine({ mode: 'long', payload: guests.hello })
 * const { exit } = vm.runSync()
 * if (exit?.reason === 'pio-out') {
 *   console.log(exit.port, exit.size, exit.data) // 233 1 Uint8Array(1) [ 72 ]
 * }
 * ```
 *
 * @category Exits
 */
export type Exit =
  | AccessExit
  | HltExit
  | ShutdownExit
  | FailEntryExit
  | InternalErrorExit
  | DebugExit
  | SystemEventExit
  | UnknownExit

const nothing = new Uint8Array(0)

/** The first `size` bytes as a little-endian value: a number up to 4 bytes, a bigint above. */
function firstItem(data: Uint8Array, size: number): number | bigint {
  let value = 0n
  for (let index = Math.min(size, data.length) - 1; index >= 0; index--) {
    value = (value << 8n) | BigInt(data[index] ?? 0)
  }
  return size <= 4 ? Number(value) : value
}

/**
 * The exit in the shared words, see `NativePlace`: an access with up to 8 bytes, a halt or a
 * shutdown.
 */
export function exitOfWords(rest: NativeRest | undefined): Exit {
  const reason = exitReasons[ending[1]! - 1]!
  const size = ending[4]!
  if (reason === 'hlt') return { reason }
  if (reason === 'shutdown') return toShutdown(rest)
  const place = { port: numbers[0]!, gpa: numbers[0]! }
  return toExit({ reason, ...place, size, count: ending[5]!, data: written.slice(0, ending[6]!) })
}

function toShutdown(rest: NativeRest | undefined): ShutdownExit {
  const { shutdownVector: vector, registersKept = false } = rest ?? {}
  return { reason: 'shutdown', ...(vector === undefined ? {} : { vector }), registersKept }
}

/** An exit as users see it. */
export function toExit(native: NativeExit): Exit {
  const { port = 0, gpa = 0, size = 0, count = 1, data = nothing, words = [] } = native
  const { reason } = native
  switch (reason) {
    case 'pio-out':
      return { reason, port, size: size as 1 | 2 | 4, count, value: firstItem(data, size), data }
    case 'pio-in':
      return { reason, port, size: size as 1 | 2 | 4, count }
    case 'mmio-write':
      return { reason, gpa, size, value: firstItem(data, size), data }
    case 'mmio-read':
      return { reason, gpa, size }
    case 'hlt':
      return { reason }
    case 'shutdown':
      return toShutdown(undefined)
    case 'fail-entry':
      return {
        reason,
        hardwareEntryFailureReason: native.hardwareEntryFailureReason ?? 0n,
        cpu: native.cpu ?? 0,
      }
    case 'internal-error':
      return {
        reason,
        suberror: native.suberror ?? 0,
        data: words,
        instructionBytes: native.instructionBytes ?? nothing,
      }
    case 'debug':
      return {
        reason,
        exception: native.exception ?? 0,
        pc: native.pc ?? 0n,
        dr6: native.dr6 ?? 0n,
        dr7: native.dr7 ?? 0n,
      }
    case 'system-event':
      return { reason, type: native.event ?? 0, data: words }
    case 'unknown':
      return {
        reason,
        exitReason: native.exitReason ?? 0,
        hardwareExitReason: native.hardwareExitReason ?? 0n,
      }
  }
}
