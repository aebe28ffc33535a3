import { outside } from './context.ts'
import { native } from './native.ts'
import type { NativeMachine } from './seam.ts'

let isScheduled = false

/**
 * Looks after all machines of this thread that run on threads of their own, until nothing more comes.
 * `isFresh` says that the event loop has turned since the last call.
 */
export function pump(isFresh: boolean): void {
  if (!isScheduled) rest(native.attend(isFresh))
}

/** Gives a late answer, and looks after the machines then; to be called in the asynchronous context of the run. */
export function answer(machine: NativeMachine, ticket: number, reply: number | Uint8Array): void {
  rest(machine.answer(ticket, reply, !isScheduled))
}

function rest(isHeld: boolean | null): void {
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
