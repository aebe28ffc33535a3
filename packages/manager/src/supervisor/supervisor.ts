import { randomBytes } from 'node:crypto'
import { readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Duplex } from 'node:stream'

import { checkDefinition, checkUuid, newUuid } from '../definition/index.ts'
import { machinePaths } from '../paths/index.ts'
import type { MachineRecord, Store } from '../store/index.ts'
import type { Context } from './machine/context.ts'
import { ManagerError } from './errors.ts'
import type {
  DefineOptions,
  MachineStats,
  MachineView,
  ManagerEvent,
  SnapshotView,
  StartOptions,
  Supervisor,
} from './interface.ts'
import { readLast } from './machine/last-run.ts'
import { Listeners } from './listeners.ts'
import { Machine } from './machine/machine.ts'
import { Spawner } from './process/spawner.ts'
import { reattach } from './machine/reattach.ts'
import { type Backoff, usualBackoff } from './machine/restart.ts'
import { restoreSnapshot, saveAndEnd, saveSnapshot } from './machine/snapshots.ts'
import { awake, busy, need, still } from './machine/states.ts'
import { statsOf } from './machine/stats.ts'
import { Streams } from './machine/streams.ts'
import { Turns } from './machine/turns.ts'

/** The most of guest memory that `memory` reads at once. */
const maxMemoryBytes = 65_536

/** How long `stop` waits for a guest after the power button. */
const usualStopMs = 30_000

/** The longest that `stop` may be asked to wait: a day. */
const longestStopMs = 86_400_000

/** What a supervisor is made of. */
export interface SupervisorOptions {
  /** What is kept of machines. */
  readonly store: Store
  /** The runtime directory. */
  readonly runtime: string
  /** The folder below which modules are accepted from everybody. */
  readonly modules?: string
  /** For what nobody waits for. Default: nowhere. */
  readonly log?: (line: string) => void
  /** The program of machine processes; default the package's own. */
  readonly command?: readonly string[]
  /** How restarts wait. */
  readonly backoff?: Backoff
}

/** A supervisor, for those who own it. */
export interface OwnedSupervisor extends Supervisor {
  /** Starts the machines that are to be started with the daemon; resolves when it was tried. */
  autostart(): Promise<void>
  /** Lets go of all machines, which go on. */
  close(): Promise<void>
  /** What it holds, by name. */
  counts(): Record<string, number>
}

/** Finds the machines of a store, and those of them that run, and supervises them. */
export async function createSupervisor(options: SupervisorOptions): Promise<OwnedSupervisor> {
  const supervisor = new Supervised(options)
  await supervisor.open()
  return supervisor
}

class Supervised implements OwnedSupervisor {
  readonly #options: SupervisorOptions
  readonly #context: Context
  readonly #machines = new Map<string, Machine>()
  readonly #streams = new Map<string, Streams>()
  readonly #turns = new Turns()
  #lastId = 0

  constructor(options: SupervisorOptions) {
    const { store, runtime, command } = options
    const log = options.log ?? ((): void => {})
    this.#options = options
    this.#context = {
      store,
      log,
      backoff: options.backoff ?? usualBackoff,
      listeners: new Listeners(store.events, log),
      spawner: new Spawner({ runtime, state: store.state, ...(command ? { command } : {}) }),
      nextId: () => ++this.#lastId,
      vanish: (name) => this.#forget(name),
    }
  }

  async open(): Promise<void> {
    const { store } = this.#context
    const found = await Promise.all(
      store.machines().map(async (record) => {
        const last = await readLast(store.folder(record.name))
        const machine = new Machine(this.#context, record, last)
        await machine.findSaved()
        this.#machines.set(record.name, machine)
        this.#lastId = Math.max(this.#lastId, last.id ?? 0)
        return machine
      }),
    )
    for (const machine of found) await reattach(this.#context, machine)
  }

  get lastSeq(): number {
    return this.#context.listeners.lastSeq
  }

  list(): readonly MachineView[] {
    const views = [...this.#machines.values()].map(({ view }) => view)
    return views.toSorted((a, b) => (a.name < b.name ? -1 : 1))
  }

  find(machine: string): MachineView {
    return this.#get(machine).view
  }

  async define(definition: unknown, options: DefineOptions): Promise<MachineView> {
    const { from, base, persistent, uuid, xml } = options
    const { modules } = this.#options
    const checked = checkDefinition(definition, {
      from,
      ...(base === undefined ? {} : { base }),
      ...(modules === undefined ? {} : { modules }),
    })
    const wanted = uuid === undefined ? undefined : checkUuid(uuid, 'uuid')
    // Fails early when its sockets would have no room.
    machinePaths(this.#options.runtime, checked.name)
    return this.#turns.take(async () => {
      const known = this.#machines.get(checked.name)
      this.#checkUuid(checked.name, known, wanted)
      const beside = xml ?? known?.record.xml ?? ''
      const record: MachineRecord = {
        version: 1,
        name: checked.name,
        uuid: known?.record.uuid ?? wanted ?? newUuid(),
        autostart: checked.manager?.autostart ?? known?.record.autostart ?? false,
        persistent: persistent ?? true,
        definition: checked,
        ...(beside === '' ? {} : { xml: beside }),
      }
      const machine = known ?? new Machine(this.#context, record, { state: 'defined' })
      await machine.redefine(record)
      this.#machines.set(record.name, machine)
      machine.tell('defined')
      return machine.view
    })
  }

  async undefine(machine: string): Promise<void> {
    await this.#turns.take(async () => {
      const found = this.#get(machine)
      found.cancelRestart()
      need(found.name, found.state, still, 'undefine')
      await this.#context.store.remove(found.name)
      this.#drop(found)
    })
  }

  async start(machine: string, options: StartOptions = {}): Promise<MachineView> {
    return this.#get(machine).start(options)
  }

  async stop(machine: string, options: { readonly timeoutMs?: number } = {}): Promise<MachineView> {
    const { timeoutMs = usualStopMs } = options
    checkWhole('timeoutMs', timeoutMs, 0, longestStopMs)
    return this.#get(machine).stop(timeoutMs)
  }

  async powerButton(machine: string): Promise<void> {
    await this.#get(machine).powerButton()
  }

  async kill(machine: string): Promise<MachineView> {
    return this.#get(machine).kill()
  }

  async reset(machine: string): Promise<void> {
    await this.#get(machine).ask('reset', 'reset')
  }

  async pause(machine: string): Promise<MachineView> {
    return this.#get(machine).pause()
  }

  async resume(machine: string): Promise<MachineView> {
    return this.#get(machine).resume()
  }

  async setAutostart(machine: string, on: boolean): Promise<MachineView> {
    if (typeof on !== 'boolean') {
      throw new ManagerError('ERR_INVALID_OPTION', `autostart must be true or false, got ${on}`)
    }
    return this.#turns.take(async () => {
      const found = this.#get(machine)
      await found.redefine({ ...found.record, autostart: on })
      found.tell('autostart', { autostart: on })
      return found.view
    })
  }

  async sendKeys(machine: string, codes: readonly string[], holdMs?: number): Promise<void> {
    const params = { codes, ...(holdMs === undefined ? {} : { holdMs }) }
    await this.#get(machine).ask('send keys to', 'sendKeys', params, ['running'])
  }

  async nmi(machine: string): Promise<void> {
    await this.#get(machine).ask('interrupt', 'nmi', {}, ['running'])
  }

  async memory(machine: string, gpa: number, bytes: number): Promise<Uint8Array> {
    checkWhole('gpa', gpa, 0, Number.MAX_SAFE_INTEGER)
    checkWhole('bytes', bytes, 1, maxMemoryBytes)
    const { base64 } = await this.#get(machine).ask('read memory of', 'memory', { gpa, bytes })
    return Buffer.from(String(base64), 'base64')
  }

  async screenshot(machine: string): Promise<Uint8Array> {
    const found = this.#get(machine)
    const { folder } = machinePaths(this.#options.runtime, found.name)
    const file = join(folder, `screen-${randomBytes(8).toString('hex')}.png`)
    try {
      await found.ask('take a picture of', 'screenshot', { file })
      return await readFile(file)
    } finally {
      await rm(file, { force: true })
    }
  }

  async stats(machine: string): Promise<MachineStats> {
    const found = this.#get(machine)
    const pid = found.process?.pid
    const mates = [...this.#machines.values()].filter(({ process }) => process?.pid === pid)
    return statsOf(found, mates.length)
  }

  async log(machine: string, bytes?: number): Promise<Uint8Array> {
    if (bytes !== undefined) checkWhole('bytes', bytes, 0, Number.MAX_SAFE_INTEGER)
    return this.#context.store.console(this.#get(machine).name, bytes)
  }

  async console(machine: string): Promise<Duplex> {
    const { serial } = this.sockets(machine)
    return this.#streamsOf(machine).open(serial, 'console')
  }

  async screen(machine: string): Promise<Duplex> {
    const { screen } = this.sockets(machine)
    if (screen === undefined) throw noScreen(machine)
    return this.#streamsOf(machine).open(screen, 'screen')
  }

  sockets(machine: string): ReturnType<Supervisor['sockets']> {
    const found = this.#get(machine)
    need(found.name, found.state, [...awake, 'stopping'], 'connect to')
    const { serial, screen } = machinePaths(this.#options.runtime, found.name)
    if (found.record.definition.screen === undefined) return { serial }
    const vncPort = found.process?.vncPort
    return { serial, screen, ...(vncPort === undefined ? {} : { vncPort }) }
  }

  async saveSnapshot(
    machine: string,
    snapshot: string,
    options: { readonly description?: string } = {},
  ): Promise<SnapshotView> {
    const found = this.#get(machine)
    const kept = this.#context.store.snapshots(found.name)
    return saveSnapshot(found, kept, snapshot, options.description)
  }

  async snapshots(machine: string): Promise<readonly SnapshotView[]> {
    return this.#context.store.snapshots(this.#get(machine).name).list()
  }

  async restoreSnapshot(machine: string, snapshot: string): Promise<MachineView> {
    const found = this.#get(machine)
    await restoreSnapshot(found, this.#context.store.snapshots(found.name), snapshot)
    return found.view
  }

  async removeSnapshot(machine: string, snapshot: string): Promise<void> {
    const found = this.#get(machine)
    await found.inTurn(() => this.#context.store.snapshots(found.name).remove(snapshot))
  }

  async save(machine: string): Promise<MachineView> {
    const found = this.#get(machine)
    await saveAndEnd(found, this.#context.store.snapshots(found.name))
    return found.view
  }

  async removeSaved(machine: string): Promise<void> {
    const found = this.#get(machine)
    await found.inTurn(() => found.removeSaved())
  }

  onEvent(listener: (event: ManagerEvent) => void, since?: number): () => void {
    return this.#context.listeners.listen(listener, since)
  }

  async autostart(): Promise<void> {
    const due = [...this.#machines.values()].filter(
      ({ record, state }) => record.autostart && still.includes(state),
    )
    for (const machine of due) {
      await machine.start({ automatic: true }).catch((error: unknown) => {
        this.#context.log(`machine '${machine.name}' did not start: ${(error as Error).message}`)
      })
    }
  }

  async close(): Promise<void> {
    for (const streams of this.#streams.values()) streams.close()
    await Promise.all([...this.#machines.values()].map((machine) => machine.leave()))
    await this.#turns.take(() => {})
  }

  counts(): Record<string, number> {
    const all = [...this.#machines.values()]
    return {
      machines: all.length,
      running: all.filter(({ state }) => busy.includes(state)).length,
      listeners: this.#context.listeners.count,
      streams: [...this.#streams.values()].reduce((sum, { count }) => sum + count, 0),
    }
  }

  #get(machine: string): Machine {
    const named = this.#machines.get(machine)
    if (named !== undefined) return named
    const uuid = String(machine).toLowerCase()
    for (const each of this.#machines.values()) if (each.record.uuid === uuid) return each
    throw new ManagerError(
      'ERR_NOT_FOUND',
      `there is no machine '${shown(machine)}'; define it first`,
    )
  }

  #checkUuid(name: string, known: Machine | undefined, uuid: string | undefined): void {
    if (uuid === undefined) return
    if (known !== undefined && known.record.uuid !== uuid) {
      const message = `machine '${name}' has UUID ${known.record.uuid}; undefine it, or take another name`
      throw new ManagerError('ERR_EXISTS', message)
    }
    for (const { record } of this.#machines.values()) {
      if (record.uuid !== uuid || record.name === name) continue
      const message = `UUID ${uuid} is that of machine '${record.name}'; undefine it, or leave the UUID out`
      throw new ManagerError('ERR_EXISTS', message)
    }
  }

  #streamsOf(machine: string): Streams {
    const { name } = this.#get(machine)
    const known = this.#streams.get(name)
    if (known !== undefined) return known
    const fresh = new Streams(name)
    this.#streams.set(name, fresh)
    return fresh
  }

  /** The end of a machine that is not kept. */
  async #forget(name: string): Promise<void> {
    const machine = this.#machines.get(name)
    if (machine !== undefined) this.#drop(machine)
    await this.#context.store.remove(name)
  }

  #drop(machine: Machine): void {
    this.#machines.delete(machine.name)
    this.#streams.get(machine.name)?.close()
    this.#streams.delete(machine.name)
    machine.tell('undefined')
  }
}

function checkWhole(name: string, value: number, from: number, to: number): void {
  if (Number.isSafeInteger(value) && value >= from && value <= to) return
  const message = `${name} must be a whole number from ${from} to ${to}, got ${shown(value)}`
  throw new ManagerError('ERR_INVALID_OPTION', message)
}

function noScreen(machine: string): ManagerError {
  const message = `machine '${machine}' has no screen; give its definition one by 'screen'`
  return new ManagerError('ERR_NOT_SUPPORTED', message)
}

function shown(value: unknown): string {
  return String(value).slice(0, 100)
}
