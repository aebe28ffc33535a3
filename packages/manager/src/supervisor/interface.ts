import type { Duplex } from 'node:stream'

import type { MachineDefinition } from 'vmexit'

import type { Crash } from '../wire/ends.ts'
export type { Crash } from '../wire/ends.ts'

/**
 * What a machine does. `ended` and `crashed` machines are defined still, and can be started again.
 *
 * @category Manager
 */
export type MachineState =
  | 'defined'
  | 'starting'
  | 'running'
  | 'paused'
  | 'stopping'
  | 'ended'
  | 'crashed'

/**
 * A machine as the manager sees it.
 *
 * @category Manager
 */
export interface MachineView {
  /** Its name, which no other machine has. */
  readonly name: string
  /** Made at define, and kept: lower-case hexadecimal with hyphens. */
  readonly uuid: string
  /** What it does. */
  readonly state: MachineState
  /** Why it ended or crashed: the `reason` of its `RunResult`, `SIGKILL`, or an error's message. */
  readonly reason?: string
  /** What the guest gave a stop port. */
  readonly exitCode?: number
  /** What is known of a crash of the guest's own. */
  readonly crash?: Crash
  /** The process that it is in, while it has one. */
  readonly pid?: number
  /** When it was started: ISO 8601, UTC. */
  readonly startedAt?: string
  /** Counts the starts of all machines; libvirt's id. While it has a process. */
  readonly id?: number
  /** Whether it is kept when it ends; false for one that libvirt's `create` made. */
  readonly persistent: boolean
  /** Whether the daemon starts it. */
  readonly autostart: boolean
  /** Whether a state of it is kept with which its next start goes on (libvirt: managed save). */
  readonly saved: boolean
  /** What it is made of. Its paths are absolute. */
  readonly definition: MachineDefinition
  /** The document of libvirt's front end that defined it, if that said more than the definition. */
  readonly xml?: string
}

/**
 * Where a definition came from: a module, which is code, is accepted from a local caller only.
 *
 * @category Manager
 */
export type Origin = 'local' | 'tcp' | 'xml'

/**
 * How to define.
 *
 * @category Manager
 */
export interface DefineOptions {
  /** Where the definition came from. */
  readonly from: Origin
  /** The folder for relative paths; without one they are an error. */
  readonly base?: string
  /** Whether it is kept when it ends, default true. */
  readonly persistent?: boolean
  /** The UUID to have; default: that of the machine of this name, or a fresh one. */
  readonly uuid?: string
  /**
   * What `MachineView.xml` is from now on, empty for none. Default: what it was. It is stored
   * beside the definition, and means something to libvirt's front end only.
   */
  readonly xml?: string
}

/**
 * What a machine costs and does.
 *
 * @category Manager
 */
export interface MachineStats {
  /** When it was asked: ISO 8601, UTC. */
  readonly at: string
  /** Processor time of its process; of a group the process's, divided by its machines. */
  readonly cpuMs: number
  /** Memory from address 0 on and of slots, in bytes. */
  readonly memoryBytes: number
  /** Resident memory of its process in bytes; of a group all of it. */
  readonly rssBytes: number
  /** vCPUs. */
  readonly vcpus: number
  /** All exits. */
  readonly exits: number
  /** Exits by reason, such as `pio-out`. */
  readonly exitsByReason: Readonly<Record<string, number>>
  /** Accesses by route, in the order of the routes. */
  readonly routes: readonly {
    /** Its claim, such as `port 0xe9`. */
    readonly route: string
    /** Reads by the guest. */
    readonly reads: number
    /** Writes by the guest. */
    readonly writes: number
  }[]
}

/**
 * A snapshot that is kept.
 *
 * @category Manager
 */
export interface SnapshotView {
  /** Its name, under the rules of a machine's. */
  readonly name: string
  /** When it was made: ISO 8601, UTC. */
  readonly at: string
  /** Bytes of its file. */
  readonly bytes: number
  /** The state in which the machine was. */
  readonly state: 'running' | 'paused'
  /** What it was made for, if said. */
  readonly description?: string
}

/**
 * What an event tells.
 *
 * @category Manager
 */
export type EventType =
  | 'defined'
  | 'undefined'
  | 'starting'
  | 'running'
  | 'paused'
  | 'resumed'
  | 'stopping'
  | 'ended'
  | 'crashed'
  | 'reset'
  | 'restarting'
  | 'autostart'
  | 'snapshot'
  | 'restored'

/**
 * Something that happened to a machine.
 *
 * @category Manager
 */
export interface ManagerEvent {
  /** Counts all events; it goes on after a restart of the daemon. */
  readonly seq: number
  /** When: ISO 8601, UTC. */
  readonly at: string
  /** The machine's name. */
  readonly machine: string
  /** The machine's UUID. */
  readonly uuid: string
  /** What happened. */
  readonly type: EventType
  /** `ended`, `crashed`: why. */
  readonly reason?: string
  /** `ended`: what the guest gave a stop port. */
  readonly exitCode?: number
  /** What else belongs to it. */
  readonly [more: string]: unknown
}

/**
 * How to start.
 *
 * @category Manager
 */
export interface StartOptions {
  /** Stops before the first instruction. Default false. */
  readonly paused?: boolean
  /** Forgets a saved state and begins anew. Default false. */
  readonly fresh?: boolean
}

/**
 * What front ends know of machines: all of them, and nothing else. Every method rejects with a
 * {@link ManagerError}; a machine is named by its name or UUID.
 *
 * @category Manager
 */
export interface Supervisor {
  /** All machines by name. */
  list(): readonly MachineView[]
  /** One machine; throws `ERR_NOT_FOUND`. */
  find(machine: string): MachineView
  /**
   * Stores a definition; one of a name that is there replaces it from the next start on.
   * `ERR_INVALID_OPTION`, `ERR_EXISTS` for another UUID or name, `ERR_FORBIDDEN` for a module.
   */
  define(definition: unknown, options: DefineOptions): Promise<MachineView>
  /** Forgets one that does not run, with its console text, snapshots and saved state. */
  undefine(machine: string): Promise<void>
  /** Resolves when it runs. */
  start(machine: string, options?: StartOptions): Promise<MachineView>
  /** Presses the power button, and kills it after the time; resolves when it has ended. */
  stop(machine: string, options?: { readonly timeoutMs?: number }): Promise<MachineView>
  /** Presses the power button and does not wait (libvirt: shutdown). */
  powerButton(machine: string): Promise<void>
  /** Ends it at once. */
  kill(machine: string): Promise<MachineView>
  /** As the reset button does. */
  reset(machine: string): Promise<void>
  /** Stops its vCPUs. */
  pause(machine: string): Promise<MachineView>
  /** Lets them go on. */
  resume(machine: string): Promise<MachineView>
  /** Whether the daemon starts it when it starts. */
  setAutostart(machine: string, on: boolean): Promise<MachineView>
  /** Presses keys together, by their names in `KeyboardEvent.code`, and releases them. */
  sendKeys(machine: string, codes: readonly string[], holdMs?: number): Promise<void>
  /** Interrupts vCPU 0 by an NMI. */
  nmi(machine: string): Promise<void>
  /** Guest memory, at most 64 KiB. */
  memory(machine: string, gpa: number, bytes: number): Promise<Uint8Array>
  /** The screen as a PNG. */
  screenshot(machine: string): Promise<Uint8Array>
  /** What it costs and does. */
  stats(machine: string): Promise<MachineStats>
  /** The kept text, at most the last `bytes` of it (default all). */
  log(machine: string, bytes?: number): Promise<Uint8Array>
  /** The console: first the end of the kept text, then what comes; what is written is typed. */
  console(machine: string): Promise<Duplex>
  /** The screen by RFB. */
  screen(machine: string): Promise<Duplex>
  /** Its sockets, for those who open them themselves. */
  sockets(machine: string): {
    /** Bytes of the console. */
    readonly serial: string
    /** RFB; where the machine has a screen. */
    readonly screen?: string
    /** RFB at a port of 127.0.0.1; where `manager.vnc` asks for it. */
    readonly vncPort?: number
  }
  /** Saves the state of a machine that runs or is paused; it goes on. */
  saveSnapshot(
    machine: string,
    snapshot: string,
    options?: { readonly description?: string },
  ): Promise<SnapshotView>
  /** The snapshots, oldest first. */
  snapshots(machine: string): Promise<readonly SnapshotView[]>
  /** Makes it what it was; a machine that does not run is started. */
  restoreSnapshot(machine: string, snapshot: string): Promise<MachineView>
  /** Forgets a snapshot. */
  removeSnapshot(machine: string, snapshot: string): Promise<void>
  /** Saves its state and ends it; its next start goes on there (libvirt: managed save). */
  save(machine: string): Promise<MachineView>
  /** Forgets that state. */
  removeSaved(machine: string): Promise<void>
  /**
   * Calls `listener` for each event from now on, or, with `since`, first for each after that
   * number; `ERR_EVENTS_GONE` when they are no longer kept. Returns a function that ends it.
   */
  onEvent(listener: (event: ManagerEvent) => void, since?: number): () => void
  /** The number of the last event. */
  readonly lastSeq: number
}
