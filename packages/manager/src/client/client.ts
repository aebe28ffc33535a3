import type { Duplex } from 'node:stream'

import type {
  MachineStats,
  MachineView,
  ManagerEvent,
  SnapshotView,
  StartOptions,
  Supervisor,
} from '../supervisor/interface.ts'
import { eventsOf } from './events.ts'
import { type Question, Transport } from './transport.ts'
import type { ConnectOptions } from './transport.ts'

/**
 * How to define a machine.
 *
 * @category Manager
 */
export interface ClientDefineOptions {
  /** The folder for relative paths; without one they are an error. */
  readonly base?: string
  /** Whether it is kept when it ends, default true. */
  readonly persistent?: boolean
  /** The UUID to have; default: that of the machine of this name, or a fresh one. */
  readonly uuid?: string
}

/**
 * What a daemon can do, asked by its HTTP API. A machine is named by its name or UUID. Each method
 * rejects with a `ManagerError`, whose code is the daemon's; without a daemon it is `ERR_DAEMON`.
 *
 * @category Manager
 */
export class Client {
  readonly #transport: Transport

  /** Made by {@link connect}. */
  constructor(where: ConnectOptions) {
    this.#transport = new Transport(where)
  }

  /** The manager's version, and the number of the last event. */
  version(): Promise<{
    /** As npm counts it. */
    readonly version: string
    /** The number of the last event. */
    readonly lastSeq: number
  }> {
    return this.#json({ method: 'GET', path: '/v1/version' })
  }

  /** A URL that lets one browser in to the daemon's web screen, once. */
  async webUrl(): Promise<string> {
    const { url } = await this.#json<{ url: string }>({ method: 'POST', path: '/v1/web-token' })
    return url
  }

  /** All machines by name. */
  async list(): Promise<readonly MachineView[]> {
    const { machines } = await this.#json<{ machines: readonly MachineView[] }>({
      method: 'GET',
      path: '/v1/machines',
    })
    return machines
  }

  /** One machine. */
  find(machine: string): Promise<MachineView> {
    return this.#json({ method: 'GET', path: of(machine) })
  }

  /** Stores a definition; one of a name that is there replaces it from its next start on. */
  define(definition: unknown, options: ClientDefineOptions = {}): Promise<MachineView> {
    return this.#json({ method: 'POST', path: '/v1/machines', body: { ...options, definition } })
  }

  /** Forgets one that does not run, with its console text, snapshots and saved state. */
  undefine(machine: string): Promise<void> {
    return this.#done({ method: 'DELETE', path: of(machine) })
  }

  /** Resolves when it runs. */
  start(machine: string, options: StartOptions = {}): Promise<MachineView> {
    return this.#json({ method: 'POST', path: of(machine, 'start'), body: options })
  }

  /** Presses the power button, and kills it after the time; resolves when it has ended. */
  stop(
    machine: string,
    options: {
      /** Until it is killed; 0: at once. */
      readonly timeoutMs?: number
    } = {},
  ): Promise<MachineView> {
    return this.#json({ method: 'POST', path: of(machine, 'stop'), body: options })
  }

  /** Presses the power button and does not wait. */
  powerButton(machine: string): Promise<void> {
    return this.#done({ method: 'POST', path: of(machine, 'power-button') })
  }

  /** Ends it at once. */
  kill(machine: string): Promise<MachineView> {
    return this.#json({ method: 'POST', path: of(machine, 'kill') })
  }

  /** As the reset button does. */
  reset(machine: string): Promise<void> {
    return this.#done({ method: 'POST', path: of(machine, 'reset') })
  }

  /** Stops its vCPUs. */
  pause(machine: string): Promise<MachineView> {
    return this.#json({ method: 'POST', path: of(machine, 'pause') })
  }

  /** Lets them go on. */
  resume(machine: string): Promise<MachineView> {
    return this.#json({ method: 'POST', path: of(machine, 'resume') })
  }

  /** Whether the daemon starts it when it starts. */
  setAutostart(machine: string, on: boolean): Promise<MachineView> {
    const body = { autostart: on }
    return this.#json({ method: 'PUT', path: of(machine, 'autostart'), body })
  }

  /** Presses keys together, by their names in `KeyboardEvent.code`, and releases them. */
  sendKeys(machine: string, codes: readonly string[], holdMs?: number): Promise<void> {
    const body = { codes, ...(holdMs !== undefined && { holdMs }) }
    return this.#done({ method: 'POST', path: of(machine, 'keys'), body })
  }

  /** Interrupts vCPU 0 by an NMI. */
  nmi(machine: string): Promise<void> {
    return this.#done({ method: 'POST', path: of(machine, 'nmi') })
  }

  /** Guest memory, at most 64 KiB. */
  memory(machine: string, gpa: number, bytes: number): Promise<Uint8Array> {
    return this.#bytes(`${of(machine, 'memory')}?gpa=${gpa}&bytes=${bytes}`)
  }

  /** The screen as a PNG. */
  screenshot(machine: string): Promise<Uint8Array> {
    return this.#bytes(of(machine, 'screen.png'))
  }

  /** What it costs and does. */
  stats(machine: string): Promise<MachineStats> {
    return this.#json({ method: 'GET', path: of(machine, 'stats') })
  }

  /** The kept text, at most the last `bytes` of it (default all). */
  log(machine: string, bytes?: number): Promise<Uint8Array> {
    return this.#bytes(`${of(machine, 'log')}${bytes === undefined ? '' : `?bytes=${bytes}`}`)
  }

  /** The console: first the end of the kept text, then what comes; what is written is typed. */
  console(machine: string): Promise<Duplex> {
    return this.#transport.stream(of(machine, 'serial'))
  }

  /** The screen by RFB. */
  screen(machine: string): Promise<Duplex> {
    return this.#transport.stream(of(machine, 'screen'))
  }

  /** Its sockets on the daemon's host, for those who open them themselves. */
  sockets(machine: string): Promise<ReturnType<Supervisor['sockets']>> {
    return this.#json({ method: 'GET', path: of(machine, 'sockets') })
  }

  /** Saves the state of a machine that runs or is paused; it goes on. */
  saveSnapshot(
    machine: string,
    snapshot: string,
    options: {
      /** What it is made for. */
      readonly description?: string
    } = {},
  ): Promise<SnapshotView> {
    const body = { ...options, name: snapshot }
    return this.#json({ method: 'POST', path: of(machine, 'snapshots'), body })
  }

  /** The snapshots, oldest first. */
  async snapshots(machine: string): Promise<readonly SnapshotView[]> {
    const { snapshots } = await this.#json<{ snapshots: readonly SnapshotView[] }>({
      method: 'GET',
      path: of(machine, 'snapshots'),
    })
    return snapshots
  }

  /** Makes it what it was; a machine that does not run is started. */
  restoreSnapshot(machine: string, snapshot: string): Promise<MachineView> {
    return this.#json({ method: 'POST', path: of(machine, 'snapshots', snapshot, 'restore') })
  }

  /** Forgets a snapshot. */
  removeSnapshot(machine: string, snapshot: string): Promise<void> {
    return this.#done({ method: 'DELETE', path: of(machine, 'snapshots', snapshot) })
  }

  /** Saves its state and ends it; its next start goes on there. */
  save(machine: string): Promise<MachineView> {
    return this.#json({ method: 'POST', path: of(machine, 'save') })
  }

  /** Forgets that state. */
  removeSaved(machine: string): Promise<void> {
    return this.#done({ method: 'DELETE', path: of(machine, 'saved') })
  }

  /**
   * The events after number `since`, or those from when the first is asked for. `ERR_EVENTS_GONE`
   * when they are no longer kept, `ERR_DAEMON` when the daemon ends.
   */
  events(
    options: {
      /** The number of an event, such as `lastSeq` of {@link Client.version}. */
      readonly since?: number
    } = {},
  ): AsyncGenerator<ManagerEvent> {
    return eventsOf(this.#transport, options.since)
  }

  /** Ends the streams, and what is asked and not answered. */
  async close(): Promise<void> {
    this.#transport.close()
  }

  async #json<T>(question: Question): Promise<T> {
    const response = await this.#transport.answer(question)
    return JSON.parse((await this.#transport.bytes(response)).toString())
  }

  async #done(question: Question): Promise<void> {
    await this.#transport.bytes(await this.#transport.answer(question))
  }

  async #bytes(path: string): Promise<Uint8Array> {
    return await this.#transport.bytes(await this.#transport.answer({ method: 'GET', path }))
  }
}

function of(machine: string, ...more: readonly string[]): string {
  return ['/v1/machines', ...[machine, ...more].map(segment)].join('/')
}

/** Dots, and nothing, would lead elsewhere in a URL; so the daemon gets to say what is wrong. */
function segment(name: string): string {
  return name === '' ? '%25' : encodeURIComponent(name).replace(/^\./, '%252E')
}
