// What an AbortSignal says itself, whatever the caller has defined over it: none of the caller's
// code runs in between.

const { addEventListener, removeEventListener } = EventTarget.prototype
const read = {
  aborted: Object.getOwnPropertyDescriptor(AbortSignal.prototype, 'aborted')!.get!,
  reason: Object.getOwnPropertyDescriptor(AbortSignal.prototype, 'reason')!.get!,
}

/** Whether a value is an `AbortSignal`; its prototype alone does not make it one. */
export function isSignal(value: unknown): value is AbortSignal {
  try {
    return typeof read.aborted.call(value) === 'boolean'
  } catch {
    return false
  }
}

/** Whether it was aborted. */
export function isAborted(signal: AbortSignal): boolean {
  return read.aborted.call(signal) as boolean
}

/** Why it was aborted. */
export function reasonOf(signal: AbortSignal): unknown {
  return read.reason.call(signal)
}

/** Calls when it is aborted, until `unlisten`. */
export function listen(signal: AbortSignal, call: () => void): void {
  addEventListener.call(signal, 'abort', call)
}

/** Removes the listener. */
export function unlisten(signal: AbortSignal, call: () => void): void {
  removeEventListener.call(signal, 'abort', call)
}
