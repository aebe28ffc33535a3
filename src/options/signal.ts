// What an AbortSignal says itself, whatever somebody has defined over it: nothing of the caller's runs in between.

const { addEventListener, removeEventListener } = EventTarget.prototype
const read = {
  aborted: Object.getOwnPropertyDescriptor(AbortSignal.prototype, 'aborted')!.get!,
  reason: Object.getOwnPropertyDescriptor(AbortSignal.prototype, 'reason')!.get!,
}

/** Whether it is one; its prototype alone does not make it one. */
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

/** Calls no longer. */
export function unlisten(signal: AbortSignal, call: () => void): void {
  removeEventListener.call(signal, 'abort', call)
}
