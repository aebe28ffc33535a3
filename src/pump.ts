import { native } from './native.ts'

let isScheduled = false

/**
 * Looks after all machines of this thread that run on threads of their own, until nothing more comes.
 * `isFresh` says that the event loop has turned since the last call.
 */
export function pump(isFresh: boolean): void {
  if (isScheduled || !native.attend(isFresh)) return
  // The turn is used up: timers and I/O come first.
  isScheduled = true
  setImmediate(() => {
    isScheduled = false
    pump(true)
  })
}
