// What /proc tells of a process. Times are in ticks, of which Linux gives programs 100 a second.
import { readFileSync } from 'node:fs'

const tickMs = 10
const pageBytes = 4096

/** What a process has used. */
export interface ProcessUse {
  /** Processor time. */
  readonly cpuMs: number
  /** Resident memory. */
  readonly rssBytes: number
}

/** The fields from the third on: the second, a name in parentheses, may hold anything. */
function fields(pid: number): string[] | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'latin1')
    return text.slice(text.lastIndexOf(')') + 2).split(' ')
  } catch {
    return undefined
  }
}

/** What it has used; undefined if it is gone. */
export function useOf(pid: number): ProcessUse | undefined {
  const found = fields(pid)
  if (found === undefined) return undefined
  return {
    cpuMs: (Number(found[11]) + Number(found[12])) * tickMs,
    rssBytes: Number(found[21]) * pageBytes,
  }
}

/** Which boot of the host this is: a machine of another one runs no longer. */
export function bootId(): string {
  try {
    return readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim()
  } catch {
    return ''
  }
}
