import { join } from 'node:path'

import { checkName, canonicalJson, isName } from '../definition/index.ts'
import { ManagerError } from '../supervisor/errors.ts'
import type { SnapshotView } from '../supervisor/interface.ts'
import { draftName, isLeftover, notWritten, removedName, syncNames, writeSynced } from './atomic.ts'
import type { FileOperations } from './operations.ts'
import type { Queue } from './queue.ts'

/** How many snapshots a machine has. */
const maxSnapshots = 256

/** Bytes of a `snapshot.json`. */
const maxInfoBytes = 64 * 1024

/** Letters of a description. */
const maxDescription = 4096

/** A snapshot that is being made: a folder aside, for the machine's process to write into. */
export interface SnapshotDraft {
  /** The folder. */
  readonly folder: string
  /** Makes a snapshot of what was written there; it is on the disk when this resolves. */
  commit(about: Pick<SnapshotView, 'state' | 'description'>): Promise<SnapshotView>
  /** Forgets it. */
  discard(): Promise<void>
}

/** A snapshot that is kept. */
export interface KeptSnapshot {
  /** The folder with its files. */
  readonly folder: string
  /** What is known of it. */
  readonly view: SnapshotView
}

/** The snapshots of a machine, each a folder, and its saved state, another one. */
export class Snapshots {
  readonly #files: FileOperations
  readonly #machine: string
  readonly #folder: string
  readonly #queue: Queue

  /** Those in a machine's folder. */
  constructor(files: FileOperations, machine: string, queue: Queue) {
    this.#files = files
    this.#machine = machine
    this.#folder = join(machine, 'snapshots')
    this.#queue = queue
  }

  /** The snapshots, oldest first. What cannot be read is not among them. */
  async list(): Promise<readonly SnapshotView[]> {
    const names = (await this.#files.list(this.#folder)).filter(isName)
    const views = await Promise.all(names.map((name) => this.#view(join(this.#folder, name), name)))
    return views
      .filter((view) => view !== undefined)
      .toSorted((a, b) => (a.at === b.at ? 0 : a.at < b.at ? -1 : 1))
  }

  /** One snapshot; `ERR_NOT_FOUND`, and `ERR_SNAPSHOT` if it cannot be read. */
  async find(snapshot: string): Promise<KeptSnapshot> {
    const name = checkName(snapshot, 'snapshot')
    const folder = join(this.#folder, name)
    if (!(await this.#files.status(folder)))
      throw new ManagerError('ERR_NOT_FOUND', `there is no snapshot ${name}`)
    const view = await this.#view(folder, name)
    if (view) return { folder, view }
    throw new ManagerError('ERR_SNAPSHOT', `${folder} cannot be read: remove the snapshot ${name}`)
  }

  /** The folder of the saved state, if there is one. */
  async saved(): Promise<string | undefined> {
    const folder = join(this.#machine, 'saved')
    return (await this.#view(folder, 'saved')) ? folder : undefined
  }

  /** Begins a snapshot: `ERR_EXISTS`, `ERR_LIMIT`, and `ERR_STATE` while it is being made. */
  async begin(snapshot: string): Promise<SnapshotDraft> {
    const name = checkName(snapshot, 'snapshot')
    const names = (await this.#files.list(this.#folder)).filter(isName)
    if (names.includes(name))
      throw new ManagerError('ERR_EXISTS', `there is a snapshot ${name}: remove it first`)
    if (names.length >= maxSnapshots)
      throw new ManagerError('ERR_LIMIT', `at most ${maxSnapshots} snapshots: remove others first`)
    return this.#begin(this.#folder, name)
  }

  /** Begins a saved state, which takes the place of the one that is there. */
  async beginSaved(): Promise<SnapshotDraft> {
    return this.#begin(this.#machine, 'saved')
  }

  /** Forgets a snapshot; `ERR_NOT_FOUND`. */
  async remove(snapshot: string): Promise<void> {
    const name = checkName(snapshot, 'snapshot')
    if (!(await this.#files.status(join(this.#folder, name))))
      throw new ManagerError('ERR_NOT_FOUND', `there is no snapshot ${name}`)
    await this.#remove(this.#folder, name)
  }

  /** Forgets the saved state, if there is one. */
  async removeSaved(): Promise<void> {
    await this.#remove(this.#machine, 'saved')
  }

  /** Removes what was being made, or removed, when power was lost. */
  async tidy(): Promise<void> {
    for (const folder of [this.#machine, this.#folder])
      for (const name of await this.#files.list(folder))
        if (isLeftover(name)) await this.#files.removeTree(join(folder, name))
  }

  async #begin(parent: string, name: string): Promise<SnapshotDraft> {
    const folder = join(parent, draftName(name))
    try {
      await this.#files.makeFolder(parent)
      if (await this.#files.status(folder))
        throw new ManagerError('ERR_STATE', `${name} is being made already: wait for its end`)
      await this.#files.makeFolder(folder)
    } catch (error) {
      throw error instanceof ManagerError ? error : notWritten(folder, error)
    }
    return {
      folder,
      commit: async (about) => {
        try {
          return await this.#queue.run(parent, () => this.#commit(parent, name, folder, about))
        } catch (error) {
          throw error instanceof ManagerError ? error : notWritten(folder, error)
        }
      },
      discard: async () => this.#files.removeTree(folder),
    }
  }

  async #commit(
    parent: string,
    name: string,
    folder: string,
    { state, description }: Pick<SnapshotView, 'state' | 'description'>,
  ): Promise<SnapshotView> {
    let bytes = 0
    for (const each of await this.#files.list(folder)) {
      const status = await this.#files.status(join(folder, each))
      if (status?.kind !== 'file') continue
      bytes += status.bytes
      await this.#files.sync(join(folder, each))
    }
    const said =
      description === undefined ? {} : { description: description.slice(0, maxDescription) }
    const view: SnapshotView = { name, at: new Date().toISOString(), bytes, state, ...said }
    const text = canonicalJson({ version: 1, ...view })
    await writeSynced(this.#files, join(folder, 'snapshot.json'), text)
    await this.#files.sync(folder)
    const place = join(parent, name)
    if (await this.#files.status(place)) await this.#remove(parent, name)
    await this.#files.rename(folder, place)
    await syncNames(this.#files, parent)
    // The folder of snapshots may be new, too.
    if (parent !== this.#machine) await syncNames(this.#files, this.#machine)
    return view
  }

  /** Gives it a name that does not count, so that it is there whole or not at all. */
  async #remove(parent: string, name: string): Promise<void> {
    const folder = join(parent, name)
    const aside = join(parent, removedName(name))
    try {
      await this.#files.removeTree(aside)
      if (!(await this.#files.status(folder))) return
      await this.#files.rename(folder, aside)
      await this.#files.sync(parent)
      await this.#files.removeTree(aside)
    } catch (error) {
      throw notWritten(folder, error)
    }
  }

  async #view(folder: string, name: string): Promise<SnapshotView | undefined> {
    try {
      const text = await this.#files.read(join(folder, 'snapshot.json'), maxInfoBytes)
      const { version, at, bytes, state, description, ...rest } = JSON.parse(text ?? 'null') as {
        readonly [key: string]: unknown
      }
      const isWhole = version === 1 && rest['name'] === name && typeof at === 'string'
      if (!isWhole || typeof bytes !== 'number') return undefined
      if (state !== 'running' && state !== 'paused') return undefined
      const said = typeof description === 'string' ? { description } : {}
      return { name, at, bytes, state, ...said }
    } catch {
      return undefined
    }
  }
}
