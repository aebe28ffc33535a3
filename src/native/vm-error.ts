import type { NativeErrorCode } from './seam.ts'

/**
 * The kind of a {@link VmError}, grouped by what the caller can do about it.
 *
 * | code | what happened | what to do |
 * | --- | --- | --- |
 * | `ERR_KVM_UNAVAILABLE` | `/dev/kvm` is absent, not permitted or too old | `npx vmexit doctor` |
 * | `ERR_KVM_CAPABILITY` | this KVM lacks what the machine needs | ask for less; another host |
 * | `ERR_KVM_IOCTL` | a system call failed, see `call` and `errno` | depends on `errno` |
 * | `ERR_INVALID_OPTION` | a wrong type or range, or a contradiction | correct the call |
 * | `ERR_GUEST_MEMORY` | an access outside every slot | correct the address |
 * | `ERR_PAYLOAD` | the payload is empty, unreadable, too large or lacks the mode | correct it |
 * | `ERR_VM_BUSY` | the call needs a machine that does not run | await the run, or `stop()` it |
 * | `ERR_VM_CLOSED` | the machine is closed, or was closed during the run | make another machine |
 * | `ERR_HANDLER` | a handler or module failed (see `cause`), or gave no answer | correct it |
 * | `ERR_ASYNC_HANDLER` | a handler returned a promise under `runSync()` | use `run()` |
 * | `ERR_UNANSWERED_READ` | a read waits for its value, or `reply` finds none | `reply` once |
 * | `ERR_LIMIT` | a limit is exceeded, or a thread cannot start | ask for less |
 * | `ERR_BINDING_UNAVAILABLE` | no native binding for this platform | see the message |
 * | `ERR_SNAPSHOT` | a snapshot does not fit this machine or host, or is none | see the message |
 * | `ERR_TIMEOUT` | what was waited for did not come in time | look at the message |
 * | `ERR_INTERNAL` | a fault of vmexit's own; the machine is closed | report it |
 *
 * @category Faults
 */
export type ErrorCode = NativeErrorCode

/**
 * What a {@link VmError} carries beside its message.
 *
 * @category Faults
 */
export interface VmErrorDetails {
  /** The system call or ioctl that failed, in the kernel's spelling. */
  call?: string | undefined
  /** The `errno` it failed with. */
  errno?: number | undefined
  /** What a handler threw. */
  cause?: unknown
}

/**
 * A failing host or a wrong call. What a *guest* does is never an error but a `RunResult`.
 *
 * @example
 * ```ts
 * try {
 *   new VirtualMachine({ mode: 'long', memoryBytes: 5000, payload: guests.hello })
 * } catch (error) {
 *   console.log(error instanceof VmError && error.code) // ERR_INVALID_OPTION
 * }
 * ```
 *
 * @category Faults
 */
export class VmError extends Error {
  /** The group it belongs to; the message has the details. */
  readonly code: ErrorCode
  /**
   * The system call or ioctl that failed, where one did, in the kernel's spelling: `KVM_CREATE_VM`.
   */
  declare readonly call?: string
  /** The `errno` it failed with, as a positive number: 13 is `EACCES` (errno(3)). */
  declare readonly errno?: number

  /** An error of this package, for code that stands in for a machine. */
  constructor(code: ErrorCode, message: string, details: VmErrorDetails = {}) {
    super(message, 'cause' in details ? { cause: details.cause } : undefined)
    this.code = code
    if (details.call !== undefined) this.call = details.call
    if (details.errno !== undefined) this.errno = details.errno
  }

  static {
    this.prototype.name = 'VmError'
  }
}
