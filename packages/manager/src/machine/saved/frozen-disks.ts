// The writable disks of a machine beside its saved state: what a guest has written belongs to it.
import { readFile, realpath, rename, rm, stat, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { fileURLToPath } from 'node:url'

import { VirtualMachine, type VirtualMachineOptions, guests } from 'vmexit'

import { ManagerError } from '../../supervisor/errors.ts'
import { copyDisk, failed } from './disk-copy.ts'
import { isLasting } from '../making.ts'

const listFile = 'disks.json'

/** A disk that was copied when the state was saved. */
interface FrozenDisk {
  /** Its place among the disks. */
  readonly index: number
  /** The file that the guest writes to. */
  readonly file: string
  /** The copy's name in the folder. */
  readonly image: string
  /** By what the file is known to be as it was then. */
  readonly stamp: string
}

/** Copies all writable disks into a folder; the machine must be still meanwhile. */
export async function freezeDisks(
  options: VirtualMachineOptions,
  folder: string,
  signal: AbortSignal,
): Promise<void> {
  const frozen: FrozenDisk[] = []
  for (const [index, disk] of (options.disks ?? []).entries()) {
    if (!isLasting(disk)) continue
    if (!('file' in disk))
      return failed(`disks[${index}] (device)`, new Error('a device in TypeScript has no file'))
    const path = disk.file instanceof URL ? fileURLToPath(disk.file) : disk.file
    const file = await realpath(path).catch((error: unknown) => failed(nameOf(index, path), error))
    const image = `disk${index}.img`
    await copyDisk({ disk: nameOf(index, file), from: file, to: join(folder, image), signal })
    frozen.push({ index, file, image, stamp: await stampOf(file) })
  }
  const text = `${JSON.stringify({ version: 1, disks: frozen })}\n`
  await writeFile(join(folder, listFile), text, { mode: 0o600 })
}

/** Copies of a folder beside the files whose place they take. */
export class StagedDisks {
  readonly #staged: { readonly aside: string; readonly file: string }[] = []
  #lock: VirtualMachine | undefined

  /**
   * Makes them: whatever fails by then has changed nothing. Files that are as they were stay. With
   * `lock` no other machine may write to one of them meanwhile.
   */
  static async of(folder: string, signal: AbortSignal, lock: boolean): Promise<StagedDisks> {
    const staged = new StagedDisks()
    try {
      const disks = await changedDisks(folder)
      if (lock && disks.length > 0) staged.#lock = lockOn(disks)
      for (const { index, file, image } of disks) {
        const aside = `${file}.vmexit-new`
        staged.#staged.push({ aside, file })
        const copy = { disk: nameOf(index, file), from: join(folder, image), to: aside, signal }
        await copyDisk({ ...copy, synced: true })
      }
      return staged
    } catch (error) {
      await staged.drop()
      throw error
    }
  }

  /** Puts them in their places; nobody may have the files open. */
  async take(): Promise<void> {
    this.#lock?.close()
    for (const { aside, file } of this.#staged.splice(0)) await rename(aside, file)
  }

  /** Removes what was not taken. */
  async drop(): Promise<void> {
    this.#lock?.close()
    await Promise.all(this.#staged.splice(0).map(({ aside }) => rm(aside, { force: true })))
  }
}

/** A machine that never runs: the core locks what it might write to. */
function lockOn(disks: readonly FrozenDisk[]): VirtualMachine {
  return new VirtualMachine({
    mode: 'real',
    pc: true,
    memoryBytes: 2 ** 20,
    payload: guests.spin,
    disks: disks.map(({ file }) => ({ file })),
  })
}

async function changedDisks(folder: string): Promise<FrozenDisk[]> {
  const changed: FrozenDisk[] = []
  for (const disk of await frozenIn(folder))
    if (disk.stamp !== (await stampOf(disk.file).catch(() => 'it is gone'))) changed.push(disk)
  return changed
}

async function frozenIn(folder: string): Promise<readonly FrozenDisk[]> {
  const path = join(folder, listFile)
  try {
    const { version, disks } = JSON.parse(await readFile(path, 'utf8')) as Record<string, unknown>
    if (version === 1 && Array.isArray(disks)) return disks as FrozenDisk[]
  } catch (cause) {
    const { message } = cause as Error
    throw new ManagerError('ERR_SNAPSHOT', `${path} cannot be read: ${message}`, { cause })
  }
  throw new ManagerError('ERR_SNAPSHOT', `${path} is of another version`)
}

async function stampOf(file: string): Promise<string> {
  const { size, mtimeNs, ino } = await stat(file, { bigint: true })
  return `${ino} ${size} ${mtimeNs}`
}

function nameOf(index: number, file: string): string {
  return `disks[${index}] (${basename(file)})`
}
