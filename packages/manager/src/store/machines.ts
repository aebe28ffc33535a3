import { join } from 'node:path'

import { isName } from '../definition/index.ts'
import { ManagerError } from '../supervisor/errors.ts'
import {
  asideSuffix,
  isLeftover,
  notWritten,
  removedName,
  replaceFile,
  syncNames,
} from './atomic.ts'
import type { FileOperations } from './operations.ts'
import { Queue } from './queue.ts'
import { type MachineRecord, maxRecordBytes, parseRecord, recordText } from './record.ts'
import { Snapshots } from './snapshots.ts'

/** How many machines a store holds. */
const maxMachines = 10_000

/** Something in the store that is no machine, and is left as it is. */
export interface StoreProblem {
  /** The name of its folder. */
  readonly name: string
  /** What is wrong. */
  readonly path: string
  /** Why. */
  readonly reason: string
  /** What to do. */
  readonly remedy: string
}

/** The machines of a state directory: a folder each, with a `machine.json` in it. */
export class Machines {
  readonly #files: FileOperations
  readonly #folder: string
  readonly #records = new Map<string, MachineRecord>()
  readonly #problems = new Map<string, StoreProblem>()
  readonly #queue = new Queue()

  private constructor(files: FileOperations, state: string) {
    this.#files = files
    this.#folder = join(state, 'machines')
  }

  /** Reads all of them. What a loss of power has left over is removed. */
  static async load(files: FileOperations, state: string): Promise<Machines> {
    const machines = new Machines(files, state)
    await files.makeFolder(machines.#folder)
    await files.sync(state)
    const names = new Map<string, string>()
    for (const name of await files.list(machines.#folder)) await machines.#load(name, names)
    return machines
  }

  /** All machines, by name. */
  list(): readonly MachineRecord[] {
    return [...this.#records.values()].toSorted((a, b) => (a.name < b.name ? -1 : 1))
  }

  /** One of them. */
  get(name: string): MachineRecord | undefined {
    return this.#records.get(name)
  }

  /** What is there and is no machine. */
  get problems(): readonly StoreProblem[] {
    return [...this.#problems.values()]
  }

  /** A machine's folder. */
  folder(name: string): string {
    // A name was checked long before; what is none must not lead elsewhere.
    if (isName(name)) return join(this.#folder, name)
    throw new ManagerError('ERR_INVALID_OPTION', 'this is no name of a machine')
  }

  /** The snapshots of a machine. */
  snapshots(name: string): Snapshots {
    return new Snapshots(this.#files, this.folder(name), this.#queue)
  }

  /**
   * Keeps a machine. After a failure, or a loss of power at any moment, the store has what it had
   * or what it was given: `ERR_STORE`.
   */
  async save(record: MachineRecord): Promise<void> {
    const { name } = record
    const folder = this.folder(name)
    const text = recordText(record)
    const bytes = Buffer.byteLength(text)
    if (bytes > maxRecordBytes)
      throw new ManagerError('ERR_LIMIT', `${name}: at most ${maxRecordBytes} bytes, got ${bytes}`)
    if (!this.#records.has(name) && this.#records.size >= maxMachines)
      throw new ManagerError('ERR_LIMIT', `at most ${maxMachines} machines: undefine others first`)
    await this.#queue.run(name, async () => {
      await this.#refuseProblem(name)
      try {
        await this.#write(name, folder, text)
      } catch (error) {
        await this.#readBack(name, folder)
        throw error
      }
      this.#records.set(name, record)
    })
  }

  /** Forgets a machine with all that is in its folder, or what stands in the place of one. */
  async remove(name: string): Promise<void> {
    const folder = this.folder(name)
    await this.#queue.run(name, async () => {
      const aside = join(this.#folder, removedName(name))
      try {
        await this.#files.removeTree(aside)
        if (await this.#files.status(folder)) await this.#files.rename(folder, aside)
      } catch (error) {
        throw notWritten(folder, error)
      }
      this.#records.delete(name)
      this.#problems.delete(name)
      await syncNames(this.#files, this.#folder)
      // It is gone already; what cannot be removed now is removed when the store is opened.
      await this.#files.removeTree(aside).catch(() => undefined)
    })
  }

  /** Resolves when nothing is being written. */
  async idle(): Promise<void> {
    await this.#queue.idle()
  }

  async #write(name: string, folder: string, text: string): Promise<void> {
    try {
      await this.#files.makeFolder(folder)
      if (!this.#records.has(name)) await this.#files.sync(this.#folder)
    } catch (error) {
      throw notWritten(folder, error)
    }
    await replaceFile(this.#files, join(folder, 'machine.json'), text)
  }

  /** What counts after a failure is what is on the disk. */
  async #readBack(name: string, folder: string): Promise<void> {
    try {
      const text = await this.#files.read(join(folder, 'machine.json'), maxRecordBytes)
      if (text !== undefined) this.#records.set(name, parseRecord(text, name))
      else if (!this.#records.has(name)) await this.#removeEmpty(folder)
    } catch {
      // The disk fails at reading, too: what was known counts.
    }
  }

  async #removeEmpty(folder: string): Promise<void> {
    const names = await this.#files.list(folder)
    if (names.length === 0) await this.#files.removeTree(folder)
  }

  /** What is broken is somebody's machine: it is not written over. */
  async #refuseProblem(name: string): Promise<void> {
    const problem = this.#problems.get(name)
    if (!problem) return
    if (await this.#files.status(join(this.#folder, name))) {
      const { path, reason, remedy } = problem
      throw new ManagerError('ERR_STORE', `${path} is there, and broken: ${reason}; ${remedy}`)
    }
    this.#problems.delete(name)
  }

  /** @param names Those of the machines that were read, by UUID. */
  async #load(name: string, names: Map<string, string>): Promise<void> {
    const folder = join(this.#folder, name)
    const file = join(folder, 'machine.json')
    if (isLeftover(name)) {
      await this.#files.removeTree(folder).catch(() => undefined)
      return
    }
    const remedy = `mend it, or move ${folder} away, and start the daemon again`
    const problem = (path: string, reason: string): void => {
      this.#problems.set(name, { name, path, reason, remedy })
    }
    try {
      if (!isName(name)) return problem(folder, 'its name is not one of a machine')
      const status = await this.#files.status(folder)
      if (status?.kind !== 'folder') return problem(folder, 'it is no folder')
      await this.#tidy(folder)
      const text = await this.#files.read(file, maxRecordBytes)
      if (text === undefined) {
        // Power was lost before its first definition was written.
        if ((await this.#files.list(folder)).length === 0) await this.#files.removeTree(folder)
        else problem(file, 'it is not there')
        return
      }
      const record = parseRecord(text, name)
      const other = names.get(record.uuid)
      if (other !== undefined) return problem(file, `its uuid is that of ${other}, too`)
      names.set(record.uuid, name)
      this.#records.set(name, record)
    } catch (error) {
      problem(file, (error as Error).message)
    }
  }

  /** Removes what was being written when power was lost. */
  async #tidy(folder: string): Promise<void> {
    try {
      for (const name of await this.#files.list(folder))
        if (name.endsWith(asideSuffix)) await this.#files.unlink(join(folder, name))
      await new Snapshots(this.#files, folder, this.#queue).tidy()
    } catch {
      // On a disk that cannot be written it does no harm.
    }
  }
}
