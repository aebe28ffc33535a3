import type { Failure } from './seam.ts'
import { type ErrorCode, VmError, type VmErrorDetails } from './vm-error.ts'

export { type ErrorCode, VmError, type VmErrorDetails }

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

/** Whether an error is a fault of our own, after which the native machine is closed. */
export function isInternal(error: unknown): boolean {
  return error instanceof VmError && error.code === 'ERR_INTERNAL'
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
  if (typeof value === 'object' && value !== null) return showObject(value)
  return Object.is(value, -0) ? '-0' : String(value)
}

/** A proxy can throw whatever it is asked, and so can a getter. */
function showObject(value: object): string {
  try {
    const name = Object.getPrototypeOf(value)?.constructor?.name
    return Array.isArray(value)
      ? `an array of ${value.length}`
      : `an object (${name ?? 'no prototype'})`
  } catch {
    return 'an object that cannot be shown'
  }
}
