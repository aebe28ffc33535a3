import type { Failure, NativeErrorCode } from './seam.ts'

/** What kind of failure a `VmError` is; grouped by what the caller can do about it. */
export type ErrorCode = NativeErrorCode

/** What a `VmError` carries beside its message. */
export interface VmErrorDetails {
  /** The system call or ioctl that failed, in the kernel's spelling. */
  call?: string | undefined
  /** The `errno` it failed with. */
  errno?: number | undefined
  /** What a handler threw. */
  cause?: unknown
}

/**
 * A failing host or a wrong call. What a *guest* does is never an error, it is a `RunResult`.
 *
 * @example
 * ```ts
 * try {
 *   new VirtualMachine({ mode: 'long', memoryBytes: 5000, payload: guests.hello })
 * } catch (error) {
 *   if (error instanceof VmError && error.code === 'ERR_INVALID_OPTION') console.error(error.message)
 * }
 * ```
 */
export class VmError extends Error {
  /** The group it belongs to; the message says the rest. */
  readonly code: ErrorCode
  /** The system call or ioctl that failed, where one did. */
  declare readonly call?: string
  /** The `errno` it failed with. */
  declare readonly errno?: number

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

/** The only `throw` of this package. */
export function raise(error: unknown): never {
  throw error
}

/** Throws a `VmError` of our own making. */
export function fail(code: ErrorCode, message: string, details?: VmErrorDetails): never {
  return raise(new VmError(code, message, details))
}

/** Throws `ERR_INVALID_OPTION`: option, expectation and value. */
export function invalid(option: string, expected: string, got: unknown): never {
  return fail('ERR_INVALID_OPTION', `${option} must be ${expected}, got ${show(got)}`)
}

/** What a native call reports, as an error. */
export function fromFailure(failure: Failure): VmError {
  return new VmError(failure.code, failure.message, { call: failure.call, errno: failure.errno })
}

/** Whether a native call failed. */
export function isFailure(value: unknown): value is Failure {
  return typeof value === 'object' && value !== null && 'code' in value && 'message' in value
}

/** The result of a native call; its failure is thrown. */
export function take<T>(value: T | Failure): Exclude<T, Failure> {
  return isFailure(value) ? raise(fromFailure(value)) : (value as Exclude<T, Failure>)
}

/** What a handler threw, in words. It may be anything, with getters that throw in their turn. */
export function showThrown(error: unknown): string {
  try {
    return error instanceof Error ? String(error.message) : show(error)
  } catch {
    return 'an error that cannot be shown'
  }
}

/** A value as messages show it: short, on one line, its type visible. */
export function show(value: unknown): string {
  if (typeof value === 'string')
    return JSON.stringify(value.length > 60 ? `${value.slice(0, 60)}…` : value)
  if (typeof value === 'bigint') return `${value}n`
  if (typeof value === 'function') return 'a function'
  if (typeof value === 'object' && value !== null) {
    const name = Object.getPrototypeOf(value)?.constructor?.name
    return Array.isArray(value)
      ? `an array of ${value.length}`
      : `an object (${name ?? 'no prototype'})`
  }
  return Object.is(value, -0) ? '-0' : String(value)
}
