// Processes of machines: begun in a session of their own, so that nothing that ends the daemon ends
// them, or found again by their pid files.
import { type ChildProcess, spawn } from 'node:child_process'
import { setTimeout as sleep } from 'node:timers/promises'

import { identify, isAlive, type ProcessIdentity } from '../../store/index.ts'
import { ManagerError } from '../errors.ts'

/** How a process ended, as far as it is known: only a parent is told. */
export interface ProcessEnd {
  /** The signal that ended it. */
  readonly signal?: string
  /** What it gave to exit(3). */
  readonly code?: number
}

/** How often a process that is no child is looked for once its end is near. */
const lookMs = 20

/** A process that has one machine, or those of a group. */
export interface MachineProcess extends ProcessIdentity {
  /** Resolves when it is gone. Of one that was found, look only when that is to be expected. */
  gone(): Promise<ProcessEnd>
  /** Ends it at once. */
  kill(): void
  /** This process need not outlive it. */
  release(): void
}

/** What a process is begun with. */
export interface Command {
  /** The program. */
  readonly program: string
  /** Its arguments. */
  readonly args: readonly string[]
  /** The descriptor of a file for what it says when something is wrong. */
  readonly log: number
  /** How long it may take until it is ready. */
  readonly readyMs: number
}

/** A child that says on its standard output when it is ready. */
export class ChildOfOurs implements MachineProcess {
  readonly pid: number
  readonly startTime: number
  /** Resolves when it is ready; rejects when it ends before that, or takes too long. */
  readonly ready: Promise<void>
  readonly #child: ChildProcess
  readonly #end: Promise<ProcessEnd>

  private constructor(child: ChildProcess, pid: number, readyMs: number) {
    this.#child = child
    this.pid = pid
    this.startTime = identify(pid)?.startTime ?? 0
    this.#end = new Promise((resolve) => {
      child.once('exit', (code, signal) =>
        resolve(signal !== null ? { signal } : code !== null ? { code } : {}),
      )
    })
    this.ready = this.#becomesReady(readyMs)
    // Who begins one may look only at its end.
    this.ready.catch(() => {})
  }

  /** Begins one; `ERR_MACHINE` if the program cannot be. */
  static async begin({ program, args, log, readyMs }: Command): Promise<ChildOfOurs> {
    const child = spawn(program, args, {
      detached: true,
      cwd: '/',
      stdio: ['ignore', 'pipe', log],
      env: environment(),
    })
    return new Promise((resolve, reject) => {
      child.once('error', (cause) => {
        const message = `cannot run ${program}: ${cause.message}`
        reject(new ManagerError('ERR_MACHINE', message, { cause }))
      })
      child.once('spawn', () => resolve(new ChildOfOurs(child, child.pid!, readyMs)))
    })
  }

  gone(): Promise<ProcessEnd> {
    return this.#end
  }

  kill(): void {
    this.#child.kill('SIGKILL')
  }

  release(): void {
    this.#child.unref()
  }

  #becomesReady(readyMs: number): Promise<void> {
    const output = this.#child.stdout!
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.kill()
        const message = `the machine's process ${this.pid} was not ready within ${readyMs} ms`
        reject(new ManagerError('ERR_TIMEOUT', message))
      }, readyMs)
      const settle = (act: () => void): void => {
        clearTimeout(timer)
        output.destroy()
        act()
      }
      output.once('data', () => settle(resolve))
      void this.#end.then((end) =>
        settle(() =>
          reject(new ManagerError('ERR_MACHINE', `the machine's process ${toldEnd(end)}`)),
        ),
      )
    })
  }
}

/** One that another daemon began. */
export class FoundProcess implements MachineProcess {
  readonly pid: number
  readonly startTime: number

  #released = false

  /** Of a pid file. */
  constructor({ pid, startTime }: ProcessIdentity) {
    this.pid = pid
    this.startTime = startTime
  }

  async gone(): Promise<ProcessEnd> {
    while (isAlive(this)) await sleep(lookMs, undefined, { ref: !this.#released })
    return {}
  }

  kill(): void {
    if (!isAlive(this)) return
    try {
      process.kill(this.pid, 'SIGKILL')
    } catch {
      // It was faster.
    }
  }

  release(): void {
    this.#released = true
  }
}

/** How a process ended, as the end of a sentence. */
export function toldEnd({ signal, code }: ProcessEnd): string {
  if (signal !== undefined) return `was ended by ${signal}`
  return code === undefined ? 'is gone' : `ended with exit code ${code}`
}

/** What systemd says to the daemon alone. */
const forTheDaemon = new Set(['LISTEN_PID', 'LISTEN_FDS', 'LISTEN_FDNAMES', 'NOTIFY_SOCKET'])

function environment(): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !forTheDaemon.has(name)))
}
