import { randomBytes } from 'node:crypto'
import { join } from 'node:path'

import { ManagerError } from '../supervisor/errors.ts'
import type { FileOperations } from './operations.ts'
import { type ProcessIdentity, asIdentity, identify, isAlive } from './process.ts'

/** Bytes of a lock's file. */
const maxLockBytes = 4096

/** Rounds of daemons that take the lock over from each other. */
const maxRounds = 100

/** What keeps a second daemon away. */
export interface Lock {
  /** Lets go of it. */
  release(): Promise<void>
}

/**
 * Takes the lock of a state directory, or `ERR_DAEMON` naming the process that has it.
 *
 * The lock is a folder of numbered files, and the file with the highest number counts. It names its
 * process. Who finds that process gone links a file of the next number, which only one can. A file
 * is never removed before there is a higher one, so a number is never given twice, and who was slow
 * finds the higher one and gives way.
 */
export async function takeLock(files: FileOperations, state: string): Promise<Lock> {
  const folder = join(state, 'lock')
  await files.makeFolder(folder)
  const aside = join(folder, `.${process.pid}-${randomBytes(8).toString('hex')}`)
  try {
    const file = await files.create(aside)
    await file.write(JSON.stringify(identify())).finally(() => file.close())
    for (let round = 0; round < maxRounds; round++) {
      const last = await highest(files, folder)
      const owner = last === 0 ? undefined : await ownerOf(files, join(folder, `${last}`))
      if (owner) throw inUse(state, owner)
      const mine = last + 1
      if (!(await linked(files, aside, join(folder, `${mine}`)))) continue
      if ((await highest(files, folder)) !== mine) {
        await files.unlink(join(folder, `${mine}`))
        continue
      }
      await removeOthers(files, folder, mine)
      return { release: () => release(files, folder, mine) }
    }
  } finally {
    await files.unlink(aside).catch(() => undefined)
  }
  throw new ManagerError(
    'ERR_DAEMON',
    `${folder} is fought over by many daemons: start one of them`,
  )
}

async function highest(files: FileOperations, folder: string): Promise<number> {
  const names = await files.list(folder)
  return Math.max(0, ...names.filter((name) => /^[1-9]\d{0,14}$/.test(name)).map(Number))
}

/** The process that has the lock, if it is there still. */
async function ownerOf(files: FileOperations, path: string): Promise<ProcessIdentity | undefined> {
  const text = (await files.read(path, maxLockBytes)) ?? ''
  let owner: ProcessIdentity | undefined
  try {
    owner = asIdentity(JSON.parse(text))
  } catch {
    // It is linked when it is whole, so only a loss of power leaves it torn, and no process.
  }
  return owner && isAlive(owner) ? owner : undefined
}

async function linked(files: FileOperations, from: string, to: string): Promise<boolean> {
  try {
    await files.link(from, to)
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false
    throw error
  }
}

/** Lower numbers, and what daemons that were killed here have left. */
async function removeOthers(files: FileOperations, folder: string, mine: number): Promise<void> {
  for (const name of await files.list(folder)) {
    const pid = /^\.(\d+)-/.exec(name)?.[1]
    const isGone = pid !== undefined && identify(Number(pid)) === undefined
    if (isGone || Number(name) < mine) await files.unlink(join(folder, name))
  }
}

/** The file stays, as its number must, and names nobody. */
async function release(files: FileOperations, folder: string, mine: number): Promise<void> {
  const aside = join(folder, `.${process.pid}-released`)
  try {
    const file = await files.create(aside)
    await file.write('{}').finally(() => file.close())
    await files.rename(aside, join(folder, `${mine}`))
  } catch {
    // The end of the process lets go of it, too.
    await files.unlink(aside).catch(() => undefined)
  }
}

function inUse(state: string, { pid }: ProcessIdentity): ManagerError {
  return new ManagerError(
    'ERR_DAEMON',
    `${state} is in use by the daemon with process ID ${pid}: ` +
      'use that one, end it, or give another folder by --state DIR',
  )
}
