import { native } from './native.ts'

const { NativeTurn: Turn } = native

/** What gathers is looked after as often. */
const lookMs = 2

let isScheduled = false
let isLooking = false

/**
 * Looks after all machines of this thread that run on threads of their own, until nothing more comes.
 * `isFresh` says that the event loop has turned since the last call.
 */
export function pump(isFresh: boolean, isLook = false): void {
  if (!isScheduled) follow(native.attend(isFresh, isLook))
}

/** Does what is left to do. */
function follow(left: number): void {
  if (left & Turn.Look && !isLooking) {
    isLooking = true
    setTimeout(look, lookMs).unref()
  }
  if (!(left & Turn.Again)) return
  // The turn is used up: timers and I/O come first.
  isScheduled = true
  // An immediate that keeps no process alive may never come; a timer does.
  if (!(left & Turn.Held)) setTimeout(again, 0).unref()
  // The immediates of this turn come before its timers.
  else if (left & Turn.Slow) setImmediate(() => setImmediate(again))
  else setImmediate(again)
}

function again(): void {
  isScheduled = false
  pump(true)
}

function look(): void {
  isLooking = false
  pump(true, true)
}
