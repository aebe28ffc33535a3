// Not the globals: a test runner replaces them, and takes them away after a file that loaded this
// package first.
import { setImmediate, setTimeout } from 'node:timers'

import { outside } from './context.ts'
import { native } from './native.ts'
import type { NativeMachine } from './seam.ts'

const { NativeTurn: Turn } = native

/** How often gathered writes are taken. */
const lookMs = 2

let isScheduled = false
let isLooking = false

/**
 * Serves all machines of this thread that run on threads of their own, until nothing more comes.
 * `isFresh` says that the event loop has turned since the last call.
 */
export function pump(isFresh: boolean, isLook = false): void {
  if (!isScheduled) rest(native.attend(isFresh, isLook))
}

/**
 * Gives a late answer, and then serves the machines. To be called in the asynchronous context of
 * the run.
 */
export function answer(machine: NativeMachine, ticket: number, reply: number | Uint8Array): void {
  rest(machine.answer(ticket, reply, !isScheduled))
}

/** Does what is left to do. */
function rest(left: number): void {
  if (left & Turn.Look && !isLooking) {
    isLooking = true
    outside(lookLater)
  }
  if (!(left & Turn.Again)) return
  // The turn is used up: timers and I/O come first.
  isScheduled = true
  if (!(left & Turn.Held)) outside(later)
  else outside(left & Turn.Slow ? behindTimers : soon)
}

function soon(): void {
  setImmediate(again)
}

/** The immediates of this turn come before its timers. */
function behindTimers(): void {
  setImmediate(soon)
}

/** An immediate that keeps no process alive may never come; a timer does. */
function later(): void {
  setTimeout(again, 0).unref()
}

function lookLater(): void {
  setTimeout(look, lookMs).unref()
}

function again(): void {
  isScheduled = false
  pump(true)
}

function look(): void {
  isLooking = false
  pump(true, true)
}
