// Not the globals: a test runner replaces them, and takes them away after a file that loaded this package first.
import { setImmediate, setTimeout } from 'node:timers'

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
  if (isHeld) setImmediate(again)
  // An immediate that keeps no process alive may never come; a timer does.
  else setTimeout(again, 0).unref()
}

function again(): void {
  isScheduled = false
  pump(true)
}
