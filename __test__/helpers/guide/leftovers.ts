// Processes that a chapter has left running.
import { readFileSync, readdirSync } from 'node:fs'

/** Whether a process was started with this variable, as far as it can be seen. */
function has(pid: string, variable: string): boolean {
  try {
    return readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0').includes(variable)
  } catch {
    return false
  }
}

/** Kills every process that has a variable which only one reader's processes have. */
export function killAll(name: string, value: string): void {
  const processes = readdirSync('/proc').filter((entry) => /^\d+$/.test(entry))
  for (const pid of processes.filter((each) => has(each, `${name}=${value}`))) {
    try {
      process.kill(Number(pid), 'SIGKILL')
    } catch {
      // It has ended.
    }
  }
}
