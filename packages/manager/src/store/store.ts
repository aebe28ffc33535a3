import { EventLog } from './events.ts'
import { makePrivateDirectory } from '../paths/index.ts'
import { ManagerError } from '../supervisor/errors.ts'
import { notWritten } from './atomic.ts'
import { readConsole } from './console.ts'
import { type Lock, takeLock } from './lock.ts'
import { Machines, type StoreProblem } from './machines.ts'
import { type FileOperations, hostFiles } from './operations.ts'
import type { MachineRecord } from './record.ts'
import type { Snapshots } from './snapshots.ts'

/**
 * Opens a state directory, which is made if it is not there, for this process alone: `ERR_DAEMON`
 * names the process that has it. What is broken in it is in `problems`, and no error.
 */
export async function openStore(state: string, files: FileOperations = hostFiles): Promise<Store> {
  await makePrivateDirectory(state, '--state')
  let lock: Lock | undefined
  try {
    lock = await takeLock(files, state)
    const machines = await Machines.load(files, state)
    return new Store(state, machines, EventLog.open(state), lock)
  } catch (error) {
    await lock?.release()
    throw error instanceof ManagerError ? error : notWritten(state, error)
  }
}

/** What a daemon keeps: machines, their console texts and snapshots, and what happened. */
export class Store {
  /** The state directory. */
  readonly state: string
  /** What happened. */
  readonly events: EventLog
  readonly #machines: Machines
  readonly #lock: Lock

  /** @internal */
  constructor(state: string, machines: Machines, events: EventLog, lock: Lock) {
    this.state = state
    this.events = events
    this.#machines = machines
    this.#lock = lock
  }

  /** What is there and is no machine, with what to do about it. */
  get problems(): readonly StoreProblem[] {
    return this.#machines.problems
  }

  /** All machines, by name. */
  machines(): readonly MachineRecord[] {
    return this.#machines.list()
  }

  /** One of them. */
  machine(name: string): MachineRecord | undefined {
    return this.#machines.get(name)
  }

  /**
   * Keeps a machine; what was kept of its name is replaced. After a failure, `ERR_STORE`, or a loss
   * of power, the store has what it had or what it was given. What is broken is not replaced.
   */
  async save(record: MachineRecord): Promise<void> {
    await this.#machines.save(record)
  }

  /** Forgets a machine, with its console text and snapshots; also one that is broken. */
  async remove(name: string): Promise<void> {
    await this.#machines.remove(name)
  }

  /** A machine's folder: `console.log`, `process.log` and snapshots are in it. */
  folder(name: string): string {
    return this.#machines.folder(name)
  }

  /** The snapshots of a machine, and its saved state. */
  snapshots(name: string): Snapshots {
    return this.#machines.snapshots(name)
  }

  /** The console text of a machine, at most the last `bytes` of it. */
  async console(name: string, bytes?: number): Promise<Uint8Array> {
    return readConsole(this.folder(name), bytes)
  }

  /** Ends what is being written, and lets another daemon have the directory. */
  async close(): Promise<void> {
    await this.#machines.idle()
    this.events.close()
    await this.#lock.release()
  }
}
