// What a script holds on to, child processes and temporary directories. All of it goes when the
// script goes, however it ends.
import { spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { constants, tmpdir } from 'node:os'
import { join } from 'node:path'

export const PREFIX = 'vmexit-scripts-'

const children = new Set()
const directories = new Set()
let isGuarded = false

function killGroup(child) {
  try {
    process.kill(-child.pid, 'SIGKILL')
  } catch {
    // It has ended already.
  }
}

function release() {
  for (const child of children) killGroup(child)
  for (const directory of directories) {
    // A dying child may still write: removing then fails with ENOTEMPTY, and is tried again.
    rmSync(directory, { recursive: true, force: true, maxRetries: 10, retryDelay: 50 })
  }
}

/** Makes every way out, signals included, pass through the release of what the script holds. */
function guard() {
  if (isGuarded) return
  isGuarded = true
  process.on('exit', release)
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
    process.on(signal, () => process.exit(128 + constants.signals[signal]))
  }
  // The reader of a pipe has gone, as with `| head`.
  process.stdout.on('error', () => process.exit(128 + constants.signals.SIGPIPE))
}

/** Removes what earlier scripts left that were ended by SIGKILL, which nothing can catch. */
function removeStale(parent) {
  for (const name of readdirSync(parent)) {
    const pid = name.startsWith(PREFIX) && name.slice(PREFIX.length).match(/^\d+/)?.[0]
    if (!pid || existsSync(`/proc/${pid}`)) continue
    rmSync(join(parent, name), { recursive: true, force: true })
  }
}

/** A new directory that lives as long as this process. */
export function temporaryDirectory(parent = tmpdir()) {
  guard()
  removeStale(parent)
  const directory = mkdtempSync(join(parent, `${PREFIX}${process.pid}-`))
  directories.add(directory)
  return directory
}

/** Starts a child in a process group of its own, so that its descendants end with it. */
export function start([command, ...args], options) {
  guard()
  const child = spawn(command, args, { ...options, detached: true })
  children.add(child)
  const ended = new Promise((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (status, signal) => resolve({ status, signal }))
  }).finally(() => children.delete(child))
  return { child, ended, kill: () => killGroup(child) }
}
