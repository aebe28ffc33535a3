import { spawn, spawnSync } from 'node:child_process'
import process from 'node:process'
import type { Readable } from 'node:stream'

import { type VmErrorDetails, fail } from '../native/errors.ts'
import { findProgram } from '../native/programs.ts'

/** What a program may take; a text that is meant well takes a hundredth of a second. */
const TIMEOUT_MS = 10_000
/** How much of what it says is kept. */
const KEPT_BYTES = 1 << 18

/** A program to run, once. */
export interface Tool {
  /** Its path, and how messages call it. */
  readonly program: string
  readonly name: string
  readonly args: readonly string[]
  readonly stdin: string
  /** What it gets as descriptors 3 and so on. */
  readonly files: readonly number[]
  /** The largest file that it may write. */
  readonly fileBytes: number
}

/** How it ended. */
export interface Ended {
  readonly status: number | null
  readonly signal: NodeJS.Signals | null
  readonly said: string
}

/** Runs a program to its end. */
export function runSync(tool: Tool): Ended {
  const [program, args] = bounded(tool)
  const { error, status, signal, stderr } = spawnSync(program, args, {
    input: tool.stdin,
    stdio: ['pipe', 'ignore', 'pipe', ...tool.files],
    env: environment(),
    timeout: TIMEOUT_MS,
    killSignal: 'SIGKILL',
    maxBuffer: KEPT_BYTES,
  })
  const code = (error as NodeJS.ErrnoException | undefined)?.code
  if (code === 'ETIMEDOUT') return tooLate(tool)
  // It was ended because it said too much, or did not read all of the text: it says why itself.
  const hasEnded = error === undefined || code === 'ENOBUFS' || code === 'EPIPE'
  return hasEnded ? { status, signal, said: String(stderr) } : notStarted(tool, error)
}

/** The same, while the event loop goes on. */
export async function run(tool: Tool): Promise<Ended> {
  const [program, args] = bounded(tool)
  const child = spawn(program, args, {
    stdio: ['pipe', 'ignore', 'pipe', ...tool.files],
    env: environment(),
  })
  let isLate = false
  let said = ''
  const timer = setTimeout(() => {
    isLate = true
    child.kill('SIGKILL')
    // What it has started may hold this open for ever, and 'close' waits for that.
    child.stderr?.destroy()
  }, TIMEOUT_MS)
  const ended = await new Promise<Ended | Error>((resolve) => {
    // Of a host without descriptors there are no streams then, and no 'close'.
    child.on('error', resolve)
    child.on('close', (status, signal) => resolve({ status, signal, said }))
    // One that ends before it has read everything says why on stderr.
    child.stdin?.on('error', () => {})
    child.stdin?.end(tool.stdin)
    const stderr = child.stderr as Readable | undefined
    stderr?.setEncoding('utf8')
    stderr?.on('data', (text: string) => (said = `${said}${text}`.slice(0, KEPT_BYTES)))
  })
  clearTimeout(timer)
  if (isLate) return tooLate(tool)
  return ended instanceof Error ? notStarted(tool, ended) : ended
}

/**
 * Under limits of its own, where there is `prlimit`: a slip like `.org 0xfffffff0` fills a disk,
 * and nothing else ends what outlives this process.
 */
function bounded({ program, args, fileBytes }: Tool): [program: string, args: string[]] {
  const prlimit = findProgram('prlimit')
  return prlimit === undefined
    ? [program, [...args]]
    : [
        prlimit,
        [`--fsize=${fileBytes}`, `--cpu=${TIMEOUT_MS / 1000}`, '--core=0', program, ...args],
      ]
}

/** Messages that can be read by a program, whatever the user's language. */
const environment = (): NodeJS.ProcessEnv => ({ ...process.env, LC_ALL: 'C' })

function tooLate({ name }: Tool): never {
  return fail('ERR_TIMEOUT', `text: ${name} has not ended after ${TIMEOUT_MS / 1000} s`)
}

function notStarted({ name }: Tool, error: Error): never {
  return fail(
    'ERR_KVM_IOCTL',
    `the program ${name} does not start: ${error.message}`,
    ofCall(error),
  )
}

/** The system call that failed, for an error's details. */
export function ofCall(error: NodeJS.ErrnoException): VmErrorDetails {
  return { call: error.syscall, errno: error.errno && Math.abs(error.errno), cause: error }
}
