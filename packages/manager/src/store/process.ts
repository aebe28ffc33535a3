import { readFileSync } from 'node:fs'

/** A process, told apart from a later one of the same number. */
export interface ProcessIdentity {
  /** Its number. */
  readonly pid: number
  /** When it began, in ticks since the host's start: field 22 of `/proc/PID/stat` (proc(5)). */
  readonly startTime: number
}

/** This process, or another one; undefined when it is gone, a zombie too. */
export function identify(pid: number = process.pid): ProcessIdentity | undefined {
  let text: string
  try {
    text = readFileSync(`/proc/${pid}/stat`, 'latin1')
  } catch {
    return undefined
  }
  // The second field is the program's name in parentheses, and holds whatever it likes.
  const [state, ...rest] = text.slice(text.lastIndexOf(')') + 2).split(' ')
  if (state === 'Z' || state === 'X') return undefined
  // The state is field 3, so field 22 is the nineteenth after it.
  return { pid, startTime: Number(rest[18]) }
}

/** Whether it is there still. */
export function isAlive({ pid, startTime }: ProcessIdentity): boolean {
  return identify(pid)?.startTime === startTime
}

/** A value of JSON as a process, if it is one. */
export function asIdentity(value: unknown): ProcessIdentity | undefined {
  if (typeof value !== 'object' || value === null) return undefined
  const { pid, startTime } = value as Record<string, unknown>
  return Number.isSafeInteger(pid) && Number(pid) > 0 && Number.isSafeInteger(startTime)
    ? { pid: Number(pid), startTime: Number(startTime) }
    : undefined
}
