// Node.js has no setrlimit(2) and knows no cgroups: a machine process is started through programs
// that set its limits and then become it, so its number is that of the child.
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'

import { ManagerError } from '../errors.ts'

const run = promisify(execFile)

/** `manager.limits` of a definition. */
export interface Limits {
  /** Memory of the process: the guest's, and what runs it. */
  readonly memoryBytes?: number
  /** Files that it may have open. */
  readonly openFiles?: number
  /** Processor time, after which it is ended. */
  readonly cpuSeconds?: number
}

/** What a host offers to limit a process with. */
export interface LimitTools {
  /** `prlimit` of util-linux. */
  readonly prlimit: boolean
  /** How a cgroup scope of systemd is begun, where one can be. */
  readonly scope?: readonly string[]
}

/** How long a tool may take to show that it works. */
const probeMs = 10_000

async function works(command: string, args: readonly string[]): Promise<boolean> {
  try {
    await run(command, [...args], { timeout: probeMs })
    return true
  } catch {
    return false
  }
}

/** Finds out what this host offers, by trying it. */
export async function findLimitTools(): Promise<LimitTools> {
  const scope = [
    'systemd-run',
    ...(process.getuid?.() === 0 ? [] : ['--user']),
    '--scope',
    '--quiet',
    '--collect',
  ]
  const [prlimit, scoped] = await Promise.all([
    works('prlimit', ['--nofile=64', 'true']),
    works(scope[0]!, [...scope.slice(1), '--property=MemoryMax=64M', 'true']),
  ])
  return scoped ? { prlimit, scope } : { prlimit }
}

/**
 * The words to put before the command of a machine process.
 *
 * Memory is limited by a cgroup where there is one. `RLIMIT_AS` would count what V8 and KVM only
 * reserve, and `RLIMIT_RSS` does nothing; so elsewhere it is `RLIMIT_DATA`, which counts private
 * memory that can be written, touched or not.
 */
export function limited(limits: Limits | undefined, tools: LimitTools): string[] {
  const { memoryBytes, openFiles, cpuSeconds } = limits ?? {}
  const scope: string[] = []
  const flags: string[] = []
  if (openFiles !== undefined) flags.push(`--nofile=${openFiles}`)
  if (cpuSeconds !== undefined) flags.push(`--cpu=${cpuSeconds}`)
  if (memoryBytes !== undefined) {
    if (tools.scope !== undefined) {
      scope.push(
        ...tools.scope,
        `--property=MemoryMax=${memoryBytes}`,
        '--property=MemorySwapMax=0',
        '--',
      )
    } else flags.push(`--data=${memoryBytes}`)
  }
  if (flags.length > 0 && !tools.prlimit) {
    throw new ManagerError(
      'ERR_NOT_SUPPORTED',
      'manager.limits needs prlimit, which this host lacks: install util-linux, or remove the limits',
    )
  }
  return [...scope, ...(flags.length > 0 ? ['prlimit', ...flags, '--'] : [])]
}
