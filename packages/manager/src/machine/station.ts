import { mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep, setImmediate as turn } from 'node:timers/promises'

import { type MachinePaths, machinePaths } from '../paths/index.ts'
import { ManagerError } from '../supervisor/errors.ts'
import type { End, MachineEvent, Params, StartParams, Started, Status } from '../wire/index.ts'
import { Console } from './console.ts'
import { Control } from './sockets/control.ts'
import { deeds } from './deeds.ts'
import { writeIdentity } from './identity.ts'
import { Machine } from './machine.ts'
import { checkStart } from './params.ts'
import { ScreenSockets } from './sockets/screens.ts'
import { SerialServer } from './sockets/serial.ts'

/** How long the console of a machine that has ended may take for the rest of its text. */
const restMs = 2000

/** Where a process keeps what. */
export interface Places {
  /** The folder of sockets. */
  readonly runtime: string
  /** The folder of definitions, texts and snapshots. */
  readonly state: string
}

/** What one machine has outside: a folder with sockets, and how it ended. */
export class Station {
  readonly #places: Places
  readonly #name: string
  readonly #paths: MachinePaths
  /** Resolves when the machine has ended and all was told; rejects when it did not start. */
  readonly over: Promise<void>
  #control: Control | undefined
  #screens: ScreenSockets | undefined
  #machine: Machine | undefined
  #starting: StartParams | undefined
  #settle!: { done: () => void; failed: (error: unknown) => void }

  private constructor(places: Places, name: string) {
    this.#places = places
    this.#name = name
    this.#paths = machinePaths(places.runtime, name)
    this.over = new Promise((done, failed) => (this.#settle = { done, failed }))
    this.over.catch(() => undefined)
  }

  /** Makes its folder and serves its control socket. */
  static async open(places: Places, name: string): Promise<Station> {
    const station = new Station(places, name)
    const { folder, control, pid } = station.#paths
    rmSync(folder, { recursive: true, force: true })
    mkdirSync(folder, { recursive: true, mode: 0o700 })
    try {
      const answer = (method: string, params: Params): unknown => station.#answer(method, params)
      station.#control = await Control.serve(control, answer)
      writeIdentity(pid)
      return station
    } catch (error) {
      rmSync(folder, { recursive: true, force: true })
      throw error
    }
  }

  /** What it does. */
  get status(): Status {
    const machine = this.#machine
    if (!machine) {
      const { name = this.#name, uuid, definition } = this.#starting ?? {}
      if (uuid === undefined || !definition) return { state: 'defined', name }
      return { state: 'starting', name, uuid, definition }
    }
    const { state, startedAt, end, params } = machine
    const { name, uuid, definition } = params
    const { reason, exitCode } = end ?? {}
    return {
      state,
      startedAt,
      name,
      uuid,
      definition,
      ...(reason === undefined ? {} : { reason }),
      ...(exitCode === undefined ? {} : { exitCode }),
      ...(this.#screens?.port === undefined ? {} : { vncPort: this.#screens.port }),
    }
  }

  /** Begins the machine. If that fails, nothing is left of it here. */
  async start(params: Params): Promise<Started> {
    const checked = checkStart(params)
    if (checked.name !== this.#name)
      throw new ManagerError(
        'ERR_INVALID_OPTION',
        `name must be ${this.#name}, got ${checked.name}`,
      )
    if (this.#starting) throw new ManagerError('ERR_STATE', `${this.#name} was started already`)
    this.#starting = checked
    try {
      return await this.#begin(checked)
    } catch (error) {
      rmSync(this.#paths.folder, { recursive: true, force: true })
      // Not before that is answered.
      setImmediate(() => this.#settle.failed(error))
      throw error
    }
  }

  /** Ends it. */
  async kill(): Promise<void> {
    if (this.#machine) return this.#machine.kill()
    rmSync(this.#paths.folder, { recursive: true, force: true })
    setImmediate(() => this.#settle.done())
  }

  /** Ends it by an error that is nobody's answer. */
  fail(error: unknown): void {
    this.#machine?.fail(error)
  }

  /** Lets those go who are connected. */
  async close(): Promise<void> {
    await this.#control?.close()
  }

  async #begin(params: StartParams): Promise<Started> {
    const kept = join(this.#places.state, 'machines', this.#name)
    mkdirSync(kept, { recursive: true, mode: 0o700 })
    const console = await Console.open(kept)
    const serial = await SerialServer.serve(this.#paths.serial, console)
    try {
      const screens = new ScreenSockets(this.#paths.screen, params.definition)
      this.#screens = screens
      const emit = (event: MachineEvent): void => this.#control?.emit(event)
      const machine = await Machine.start(params, { console, screens, emit })
      this.#machine = machine
      emit({ event: params.paused ? 'paused' : 'running' })
      void machine.over.then((end) => this.#ended(end, { console, screens, serial }))
      return {
        serial: this.#paths.serial,
        ...(screens.path === undefined ? {} : { screen: screens.path }),
        ...(screens.port === undefined ? {} : { vncPort: screens.port }),
      }
    } catch (error) {
      await serial.close()
      await console.close()
      throw error
    }
  }

  #answer(method: string, params: Params): unknown {
    if (method === 'status') return this.status
    if (method === 'start') return this.start(params)
    const deed = Object.hasOwn(deeds, method) ? deeds[method as keyof typeof deeds] : undefined
    if (!deed)
      throw new ManagerError('ERR_NOT_SUPPORTED', `there is no method '${method.slice(0, 60)}'`)
    if (this.#machine) return deed(this.#machine, params)
    if (method === 'kill') return this.kill()
    throw new ManagerError('ERR_STATE', `${this.#name} was not started yet`)
  }

  async #ended(
    end: End,
    {
      console,
      screens,
      serial,
    }: { console: Console; screens: ScreenSockets; serial: SerialServer },
  ): Promise<void> {
    const rest = console.heard.then(() => console.close())
    await Promise.race([rest, sleep(restMs)])
    await screens.leave()
    this.#write(end)
    this.#control?.emit({ event: 'ended', ...end })
    // What is being answered still is.
    await turn()
    await Promise.all([serial.close(), this.close()])
    rmSync(this.#paths.pid, { force: true })
    this.#settle.done()
  }

  /** For a daemon that is not there now. */
  #write(end: End): void {
    const path = this.#paths.end
    try {
      writeFileSync(`${path}.new`, `${JSON.stringify(end)}\n`, { mode: 0o600 })
      renameSync(`${path}.new`, path)
    } catch (error) {
      process.stderr.write(`cannot write ${path}: ${(error as Error).message}\n`)
    }
  }
}
