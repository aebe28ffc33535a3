// What a run holds on to, child processes and temporary directories. All of it goes when the run goes, however it ends.
import { spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { constants, tmpdir } from 'node:os'
import { join } from 'node:path'

/** A failure that its message explains in full; it is shown without a stack. */
export class Failure extends Error {}

const PREFIX = 'vmexit-svm-'
const TAIL_LINES = 50

const children = new Set()
const directories = new Set()

/** The last lines of a text, for the end of a message. */
export const tail = (text) => text.trimEnd().split('\n').slice(-TAIL_LINES).join('\n')

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

/** Makes every way out, signals included, pass through the release of what the run holds. */
export function guard() {
  process.on('exit', release)
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
    process.on(signal, () => process.exit(128 + constants.signals[signal]))
  }
  // The reader of a pipe has gone, as with `| head`.
  process.stdout.on('error', () => process.exit(128 + constants.signals.SIGPIPE))
}

/** Removes what earlier runs left that were ended by SIGKILL, which nothing can catch. */
function removeStale(parent) {
  for (const name of readdirSync(parent)) {
    const pid = name.startsWith(PREFIX) && name.slice(PREFIX.length).match(/^\d+/)?.[0]
    if (!pid || existsSync(`/proc/${pid}`)) continue
    rmSync(join(parent, name), { recursive: true, force: true })
  }
}

/** A new directory that lives as long as this process. */
export function temporaryDirectory(parent = tmpdir()) {
  removeStale(parent)
  const directory = mkdtempSync(join(parent, `${PREFIX}${process.pid}-`))
  directories.add(directory)
  return directory
}

/** Gives up a temporary directory before the run ends. */
export function removeDirectory(directory) {
  rmSync(directory, { recursive: true, force: true })
  directories.delete(directory)
}

/** Starts a child in a process group of its own, so that its descendants end with it. */
export function start([command, ...args], options) {
  const child = spawn(command, args, { ...options, detached: true })
  children.add(child)
  const ended = new Promise((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (status, signal) => resolve({ status, signal }))
  })
  ended.catch(() => {}).finally(() => children.delete(child))
  return { child, ended, kill: () => killGroup(child) }
}

/** Reads a stream of a child into one string. */
function collect(stream) {
  const text = { value: '' }
  stream?.setEncoding('utf8').on('data', (chunk) => (text.value += chunk))
  return text
}

/**
 * Runs a command to its end and returns its stdout. Fails with the tail of its stderr, or at the end of its time; with
 * `show`, stderr goes to the terminal instead.
 */
export async function run(title, command, { seconds, show = false, ...options }) {
  const stdio = ['ignore', 'pipe', show ? 'inherit' : 'pipe']
  const { child, ended, kill } = start(command, { ...options, stdio })
  const [stdout, stderr] = [collect(child.stdout), collect(child.stderr)]
  let late = false
  const timer = setTimeout(() => {
    late = true
    kill()
  }, seconds * 1000)
  const { status } = await ended
    .catch((error) => {
      throw new Failure(`${title}: ${error.message}`)
    })
    .finally(() => clearTimeout(timer))
  if (late) throw new Failure(`${title}: not done after ${seconds} s\n${tail(stderr.value)}`)
  if (status !== 0) throw new Failure(`${title}: failed\n${tail(stderr.value)}`)
  return stdout.value
}
