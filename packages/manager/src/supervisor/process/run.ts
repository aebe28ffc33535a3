import { readFile } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'

import type { MachinePaths } from '../../paths/index.ts'
import { ManagerError } from '../errors.ts'
import { type Outcome, outcomeOf } from '../machine/restart.ts'
import { type WireEvent, crashOf } from '../../wire/index.ts'
import { Control } from './control.ts'
import { type MachineProcess, type ProcessEnd, toldEnd } from './process.ts'

/** How long a process may live on after it told that its machine has ended. */
const exitMs = 5000

/** How long a process whose connection closed may take to be gone. */
const closedMs = 1000

/** How often a connection that closed is made again while the process lives. */
const reconnects = 3

/** How long `kill` waits for a process that answers before it ends the process. */
const killMs = 3000

/** Events that are kept of a machine that nobody can ask yet; further ones are lost. */
const maxEarlyEvents = 1000

/** How long other requests wait. */
const requestMs = 30_000

/** What a run of a machine is made of. */
export interface RunParts {
  /** Its sockets and files. */
  readonly paths: MachinePaths
  /** The process that it is in. */
  readonly process: MachineProcess
  /** Whether other machines are in that process. */
  readonly shared: boolean
}

/** From the start of a machine to its end: its process, the connection to it, and how it ended. */
export class Run {
  readonly process: MachineProcess
  readonly shared: boolean
  /** Resolves when it is over and its process, if it has one of its own, is gone. */
  readonly over: Promise<Outcome>
  /** Whether its end was asked for, so that no signal is a crash. */
  wanted = false
  /** The port of 127.0.0.1 of its screen, if it has one. */
  vncPort: number | undefined
  readonly #paths: MachinePaths
  readonly #onEvent: (event: WireEvent) => void
  #early: WireEvent[] | undefined = []
  #finish!: (outcome: Outcome) => void
  #control: Control | undefined
  #told: Outcome | undefined
  #left = false

  private constructor({ paths, process, shared }: RunParts, onEvent: (event: WireEvent) => void) {
    this.process = process
    this.shared = shared
    this.#paths = paths
    this.#onEvent = onEvent
    this.over = new Promise((resolve) => {
      this.#finish = (outcome) =>
        resolve(
          this.wanted && outcome.state === 'crashed' ? { ...outcome, state: 'ended' } : outcome,
        )
    })
  }

  /** Connects to a machine of a process that is ready; watches it from then on. */
  static async open(parts: RunParts, onEvent: (event: WireEvent) => void): Promise<Run> {
    const run = new Run(parts, onEvent)
    await run.#connect()
    void run.#watch()
    return run
  }

  /** Passes on what it tells, first what it has told: whoever hears that may ask it from now on. */
  passOn(): this {
    const early = this.#early ?? []
    this.#early = undefined
    for (const event of early) this.#onEvent(event)
    return this
  }

  /** Whether its process hears nothing at the moment. */
  get isClosed(): boolean {
    return this.#control?.isClosed ?? true
  }

  /** Asks the machine's process. */
  request(
    method: string,
    params: Readonly<Record<string, unknown>> = {},
    limitMs: number = requestMs,
  ): Promise<Record<string, unknown>> {
    if (this.#control === undefined) {
      throw new ManagerError('ERR_MACHINE', 'there is no connection to the machine')
    }
    return this.#control.request(method, params, limitMs)
  }

  /** Ends it: by asking, and if that does not help and no other machine is there, by a signal. */
  async kill(reason?: string): Promise<void> {
    this.wanted = true
    if (reason !== undefined) this.#told = { state: 'ended', reason }
    try {
      await this.request('kill', {}, killMs)
      if (await within(this.over, killMs)) return
    } catch {
      // A process that does not answer, or is gone by now.
    }
    if (!this.shared) this.process.kill()
    else if (!(await within(this.over, killMs))) {
      throw new ManagerError(
        'ERR_TIMEOUT',
        `process ${this.process.pid} of the group does not answer; ` +
          `kill -9 ${this.process.pid} would end all machines of the group`,
      )
    }
    await this.over
  }

  /** Leaves the machine alone: it goes on, and this process need not wait for it. */
  leave(): void {
    this.abandon()
    this.process.release()
  }

  /** Closes the connection for good. */
  abandon(): void {
    this.#left = true
    this.#control?.close()
  }

  async #connect(): Promise<void> {
    this.#control = await Control.open(this.#paths.control, (event) => this.#take(event))
  }

  #take(event: WireEvent): void {
    if (event.event !== 'ended') {
      if (this.#early === undefined) this.#onEvent(event)
      else if (this.#early.length < maxEarlyEvents) this.#early.push(event)
      return
    }
    this.#told ??= readOutcome(event)
    if (this.shared) this.#control?.close()
    else void this.#hurry()
  }

  /** The process has told the end and has nothing left to do. */
  async #hurry(): Promise<void> {
    if (!(await within(this.process.gone(), exitMs))) this.process.kill()
  }

  async #watch(): Promise<void> {
    for (let tries = 0; ; tries++) {
      await this.#control!.closed
      if (this.#left) return
      const told = this.#told ?? (await this.#end())
      if (told !== undefined && this.shared) return this.#finish(told)
      const end = await within(this.process.gone(), told === undefined ? closedMs : exitMs)
      if (end !== undefined) return this.#finish(told ?? (await this.#end()) ?? crashedBy(end))
      if (told === undefined && tries < reconnects && (await this.#reconnects())) continue
      if (!this.shared) {
        this.process.kill()
        await this.process.gone()
      }
      return this.#finish(told ?? { state: 'crashed', reason: 'its process no longer answered' })
    }
  }

  async #reconnects(): Promise<boolean> {
    try {
      await this.#connect()
      return true
    } catch {
      return false
    }
  }

  /** What the process has written about the end. */
  #end(): Promise<Outcome | undefined> {
    return readEnd(this.#paths)
  }
}

/** What a process that is gone has written about the end of its machine. */
export async function readEnd({ end }: Pick<MachinePaths, 'end'>): Promise<Outcome | undefined> {
  try {
    return readOutcome(JSON.parse(await readFile(end, 'utf8')))
  } catch {
    return undefined
  }
}

/** The outcome of a process that is gone and said nothing. */
function crashedBy(end: ProcessEnd): Outcome {
  return { state: 'crashed', reason: end.signal ?? `its process ${toldEnd(end)}` }
}

function readOutcome(told: unknown): Outcome {
  const { reason, exitCode, crash } = (told ?? {}) as Record<string, unknown>
  return outcomeOf(
    typeof reason === 'string' ? reason : 'unknown',
    typeof exitCode === 'number' ? exitCode : undefined,
    crashOf(crash),
  )
}

/** What the promise gives, or undefined when the time is up. */
export async function within<T>(promise: Promise<T>, limitMs: number): Promise<T | undefined> {
  const stop = new AbortController()
  const timer = sleep(limitMs, undefined, { signal: stop.signal }).catch(() => undefined)
  try {
    return await Promise.race([promise, timer])
  } finally {
    stop.abort()
  }
}
