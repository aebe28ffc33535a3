import { join } from 'node:path'

import { ManagerError } from '../supervisor/errors.ts'
import type { FileOperations } from './operations.ts'
import { type ProcessIdentity, identify, isAlive } from './process.ts'

/** Rounds of daemons that take the lock over from each other. */
const maxRounds = 100

/** What a mark says whose daemon has ended by itself. */
const released = 'released'

/** What keeps a second daemon away. */
export interface Lock {
  /** Lets go of it. */
  release(): Promise<void>
}

/**
 * Takes the lock of a state directory, or `ERR_DAEMON` naming the process that has it.
 *
 * The lock is a folder of numbered marks, and the highest number counts. A mark is a link that
 * leads nowhere and names a process: it is made at once or not at all, by one process only, and a
 * full disk has room for it. Who finds that process gone makes a mark of the next number. A mark is
 * never removed before there is a higher one, so a number is never given twice, and who was slow
 * finds the higher one and gives way.
 */
export async function takeLock(files: FileOperations, state: string): Promise<Lock> {
  const folder = join(state, 'lock')
  await files.makeFolder(folder)
  for (let round = 0; round < maxRounds; round++) {
    const last = await highest(files, folder)
    const owner = last === 0 ? undefined : await ownerOf(files, join(folder, `${last}`))
    if (owner) throw inUse(state, owner)
    const mine = join(folder, `${last + 1}`)
    if (!(await isMarked(files, mine))) continue
    if ((await highest(files, folder)) === last + 1) {
      await removeOthers(files, folder, last + 1)
      return { release: () => release(files, folder, mine) }
    }
    await files.unlink(mine)
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
  const [, pid, startTime] = /^(\d+)-(\d+)$/.exec((await files.readMark(path)) ?? '') ?? []
  if (pid === undefined) return undefined
  const owner = { pid: Number(pid), startTime: Number(startTime) }
  return isAlive(owner) ? owner : undefined
}

/** Whether this process has made the mark, and not another one. */
async function isMarked(files: FileOperations, path: string): Promise<boolean> {
  const { pid, startTime } = identify() as ProcessIdentity
  try {
    await files.mark(path, `${pid}-${startTime}`)
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false
    throw error
  }
}

async function removeOthers(files: FileOperations, folder: string, mine: number): Promise<void> {
  for (const name of await files.list(folder))
    if (name === released || Number(name) < mine) await files.unlink(join(folder, name))
}

/** The mark stays, as its number must, and names nobody. */
async function release(files: FileOperations, folder: string, mine: string): Promise<void> {
  const aside = join(folder, released)
  try {
    await files.mark(aside, released)
    await files.rename(aside, mine)
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
