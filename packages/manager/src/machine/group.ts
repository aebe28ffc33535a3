import { mkdirSync, rmSync } from 'node:fs'

import { type GroupPaths, groupPaths } from '../paths/index.ts'
import { ManagerError } from '../supervisor/errors.ts'
import type { Params, Started, Status } from '../wire/index.ts'
import { Control } from './sockets/control.ts'
import { writeIdentity } from './identity.ts'
import { checkStart } from './params.ts'
import { type Places, Station } from './station.ts'

/** Machines of one group at the same time. */
const maxMachines = 1024

/** The machines of a group, each with its own station. */
export class Group {
  /** Resolves when the last machine has ended. */
  readonly over: Promise<void>
  readonly #places: Places
  readonly #paths: GroupPaths
  readonly #stations = new Map<string, Station | undefined>()
  #control: Control | undefined
  #done!: () => void

  private constructor(places: Places, group: string) {
    this.#places = places
    this.#paths = groupPaths(places.runtime, group)
    this.over = new Promise((resolve) => (this.#done = resolve))
  }

  /** Makes its folder and serves its control socket. */
  static async open(places: Places, name: string): Promise<Group> {
    const group = new Group(places, name)
    mkdirSync(group.#paths.folder, { recursive: true, mode: 0o700 })
    const answer = (method: string, params: Params): unknown => group.#answer(method, params)
    group.#control = await Control.serve(group.#paths.control, answer)
    writeIdentity(group.#paths.pid)
    return group
  }

  /** Ends all of them. */
  async kill(): Promise<void> {
    const stations = [...this.#stations.values()].filter((station) => station !== undefined)
    await Promise.all(stations.map((station) => station.kill()))
    await Promise.all(stations.map((station) => station.over))
  }

  /** Accepts nobody any more. */
  async close(): Promise<void> {
    await this.#control?.close()
    rmSync(this.#paths.pid, { force: true })
  }

  #answer(method: string, params: Params): Status | Promise<Started> {
    if (method === 'start') return this.#start(params)
    if (method === 'status') return this.#status
    throw new ManagerError('ERR_NOT_SUPPORTED', "a group's process has only 'start' and 'status'")
  }

  get #status(): Status {
    const stations = [...this.#stations.values()].filter((station) => station !== undefined)
    const machines = stations.map(({ status: { name, uuid, state } }) => ({
      state,
      ...(name === undefined ? {} : { name }),
      ...(uuid === undefined ? {} : { uuid }),
    }))
    return { state: 'running', machines }
  }

  async #start(params: Params): Promise<Started> {
    const { name } = checkStart(params)
    if (this.#stations.has(name)) throw new ManagerError('ERR_EXISTS', `${name} is here already`)
    if (this.#stations.size >= maxMachines)
      throw new ManagerError('ERR_LIMIT', `at most ${maxMachines} machines of one group`)
    this.#stations.set(name, undefined)
    try {
      const station = await Station.open(this.#places, name)
      this.#stations.set(name, station)
      const started = await station.start(params).catch(async (error: unknown) => {
        await station.close()
        throw error
      })
      void station.over.then(() => this.#leave(name))
      return started
    } catch (error) {
      this.#leave(name)
      throw error
    }
  }

  #leave(name: string): void {
    this.#stations.delete(name)
    if (this.#stations.size === 0) this.#done()
  }
}
