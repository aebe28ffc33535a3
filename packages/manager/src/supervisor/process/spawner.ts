import { close, constants, open } from 'node:fs'
import { mkdir, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

import { groupPaths, machinePaths } from '../../paths/index.ts'
import { asIdentity, isAlive, type ProcessIdentity } from '../../store/index.ts'
import { ManagerError } from '../errors.ts'
import type { WireEvent } from '../../wire/index.ts'
import { Control } from './control.ts'
import { findLimitTools, limited, type Limits, type LimitTools } from './limits.ts'
import { ChildOfOurs, FoundProcess, type MachineProcess } from './process.ts'
import type { Outcome } from '../machine/restart.ts'
import { readEnd, Run } from './run.ts'

/** How long a process may take until it is ready, on a host that is busy. */
const readyMs = 60_000

/** How long a machine may take until it runs: its files are read, its memory is loaded. */
const startMs = 300_000

/** A group's process may end just when a machine is put into it. */
const groupTries = 5

/** Bytes of what a process said that an error repeats. */
const toldBytes = 1000

/** Where processes have their sockets, and what they are. */
export interface SpawnerOptions {
  /** The runtime directory. */
  readonly runtime: string
  /** The state directory. */
  readonly state: string
  /** The program and its first arguments; default the package's own. */
  readonly command?: readonly string[]
}

/** What is to be started. */
export interface Launch {
  /** The machine's name. */
  readonly name: string
  /** Its group, if it has one. */
  readonly group?: string | undefined
  /** What its process may use. */
  readonly limits?: Limits | undefined
  /** The parameters of `start`. */
  readonly params: Readonly<Record<string, unknown>>
  /** Gets what the machine tells. */
  readonly onEvent: (event: WireEvent) => void
  /** Rejects as soon as the start is not wanted any more. */
  readonly abort: Promise<never>
}

const openFile = promisify(open)
/** The process makes it short again: what comes then belongs at its new end. */
const logFlags = constants.O_WRONLY | constants.O_CREAT | constants.O_TRUNC | constants.O_APPEND
const closeFile = promisify(close)

/** Begins processes of machines, or finds those that are there. */
export class Spawner {
  readonly #options: SpawnerOptions
  readonly #command: readonly string[]
  readonly #groups = new Map<string, Promise<MachineProcess>>()
  #tools: Promise<LimitTools> | undefined

  /** Looks for nothing yet. */
  constructor(options: SpawnerOptions) {
    this.#options = options
    const main = fileURLToPath(new URL('../../machine/main.js', import.meta.url))
    this.#command = options.command ?? [process.execPath, main]
  }

  /** Starts a machine in a process of its own, or in its group's. */
  async start(launch: Launch): Promise<Run> {
    const paths = machinePaths(this.#options.runtime, launch.name)
    // What is left of an earlier run would tell how this one ended.
    await rm(paths.folder, { recursive: true, force: true })
    return launch.group === undefined
      ? await this.#alone(launch)
      : await this.#inGroup(launch, launch.group)
  }

  /** A machine whose process, perhaps of an earlier daemon, lives; undefined if there is none. */
  async find(
    name: string,
    group: string | undefined,
    onEvent: Launch['onEvent'],
  ): Promise<Run | undefined> {
    const paths = machinePaths(this.#options.runtime, name)
    const found = await readProcess(paths.pid)
    if (found === undefined || !isAlive(found)) return undefined
    const shared = group !== undefined
    const it = new FoundProcess(found)
    if (shared) this.#groups.set(group, Promise.resolve(it))
    return Run.open({ paths, process: it, shared }, onEvent)
  }

  /** What a process that is gone has written about the end of a machine. */
  endOf(name: string): Promise<Outcome | undefined> {
    return readEnd(machinePaths(this.#options.runtime, name))
  }

  /** Removes what a machine that has ended left in the runtime directory. */
  async clean(name: string): Promise<void> {
    const { folder } = machinePaths(this.#options.runtime, name)
    await rm(folder, { recursive: true, force: true })
  }

  async #alone(launch: Launch): Promise<Run> {
    const { name, params, onEvent, abort } = launch
    const paths = machinePaths(this.#options.runtime, name)
    const log = join(this.#options.state, 'machines', name, 'process.log')
    const child = await this.#begin(['--name', name], log, launch.limits)
    let run: Run | undefined
    try {
      await Promise.race([child.ready, abort])
      run = await Run.open({ paths, process: child, shared: false }, onEvent)
      const { vncPort } = await Promise.race([run.request('start', params, startMs), abort])
      run.vncPort = vncPort as number | undefined
      return run
    } catch (error) {
      run?.abandon()
      child.kill()
      await child.gone()
      throw await withLog(error, log)
    }
  }

  async #inGroup(launch: Launch, group: string): Promise<Run> {
    for (let tries = 1; ; tries++) {
      const process = await Promise.race([this.#group(group, launch.limits), launch.abort])
      try {
        return await this.#join(launch, group, process)
      } catch (error) {
        // It is gone, or just going: its last machine has ended.
        const closed = error instanceof ManagerError && error.code === 'ERR_MACHINE'
        if (!closed || tries === groupTries || isAlive(process)) throw error
        this.#groups.delete(group)
      }
    }
  }

  async #join(launch: Launch, group: string, process: MachineProcess): Promise<Run> {
    const { name, params, onEvent, abort } = launch
    const control = await Control.open(groupPaths(this.#options.runtime, group).control, () => {})
    let started: Record<string, unknown>
    try {
      const answer = control.request('start', params, startMs)
      started = await Promise.race([answer, control.closed.then(lost)])
    } finally {
      control.close()
    }
    const paths = machinePaths(this.#options.runtime, name)
    const run = await Run.open({ paths, process, shared: true }, onEvent)
    run.vncPort = started['vncPort'] as number | undefined
    const wanted = await Promise.race([abort, true]).catch((error: unknown) => error)
    if (wanted === true) return run
    await run.kill()
    throw wanted
  }

  /** The process of a group, which is begun for the first of its machines. */
  async #group(group: string, limits: Limits | undefined): Promise<MachineProcess> {
    const known = this.#groups.get(group)
    if (known !== undefined) {
      const process = await known.catch(() => undefined)
      if (process !== undefined && isAlive(process)) return process
      if (this.#groups.get(group) !== known) return this.#group(group, limits)
    }
    const fresh = this.#beginGroup(group, limits)
    this.#groups.set(group, fresh)
    fresh.catch(() => {
      if (this.#groups.get(group) === fresh) this.#groups.delete(group)
    })
    return fresh
  }

  async #beginGroup(group: string, limits: Limits | undefined): Promise<MachineProcess> {
    const { folder, pid } = groupPaths(this.#options.runtime, group)
    const found = await readProcess(pid)
    if (found !== undefined && isAlive(found)) return new FoundProcess(found)
    await mkdir(folder, { recursive: true, mode: 0o700 })
    const log = join(folder, 'process.log')
    const child = await this.#begin(['--group', group], log, limits)
    try {
      await child.ready
      return child
    } catch (error) {
      throw await withLog(error, log)
    }
  }

  async #begin(
    what: readonly string[],
    log: string,
    limits: Limits | undefined,
  ): Promise<ChildOfOurs> {
    const { runtime, state } = this.#options
    this.#tools ??= limits === undefined ? undefined : findLimitTools()
    const before = limits === undefined ? [] : limited(limits, await this.#tools!)
    const [program, ...args] = [
      ...before,
      ...this.#command,
      '--runtime',
      runtime,
      '--state',
      state,
      ...what,
    ]
    const descriptor = await openFile(log, logFlags, 0o600)
    try {
      return await ChildOfOurs.begin({ program: program!, args, log: descriptor, readyMs })
    } finally {
      await closeFile(descriptor)
    }
  }
}

/** What a pid file says. */
async function readProcess(path: string): Promise<ProcessIdentity | undefined> {
  try {
    return asIdentity(JSON.parse(await readFile(path, 'utf8')))
  } catch {
    // There is none, or a machine was about to write it.
    return undefined
  }
}

/** The error with the end of what the process said, since it alone knows why. */
async function withLog(failure: unknown, log: string): Promise<unknown> {
  if (!(failure instanceof ManagerError) || failure.code !== 'ERR_MACHINE') return failure
  const text = await readFile(log, 'utf8').catch(() => '')
  const said = text.trim().slice(-toldBytes)
  if (said === '') return failure
  return new ManagerError('ERR_MACHINE', `${failure.message}: ${said}`, { cause: failure })
}

function lost(): never {
  throw new ManagerError('ERR_MACHINE', "the group's process has closed the connection")
}
