import { outside } from './context.ts'
import { native } from './native.ts'

let isScheduled = false

/**
 * Looks after all machines of this thread that run on threads of their own, until nothing more comes.
 * `isFresh` says that the event loop has turned since the last call.
 */
export function pump(isFresh: boolean): void {
  if (isScheduled) return
  const isHeld = native.attend(isFresh)
  if (isHeld === null) return
  // The turn is used up: timers and I/O come first.
  isScheduled = true
  outside(isHeld ? soon : later)
}

function soon(): void {
  setImmediate(again)
}

/** An immediate that keeps no process alive may never come; a timer does. */
function later(): void {
  setTimeout(again, 0).unref()
}

function again(): void {
  isScheduled = false
  pump(true)
}
