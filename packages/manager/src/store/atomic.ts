import { dirname } from 'node:path'

import { ManagerError } from '../supervisor/errors.ts'
import type { FileOperations } from './operations.ts'

/** The end of the name of a file that is written aside. */
export const asideSuffix = '.new'

/** The name of a folder while it is being filled; no name of a machine or snapshot is like it. */
export function draftName(name: string): string {
  return `.new-${name}`
}

/** The name of a folder that is being removed. */
export function removedName(name: string): string {
  return `.old-${name}`
}

/** Whether a folder's name is one of those: a loss of power has left it over. */
export function isLeftover(name: string): boolean {
  return name.startsWith('.new-') || name.startsWith('.old-')
}

/**
 * Puts a text in a file's place: what was there, or the whole text, also after a loss of power. If
 * it fails, what was there stays, and nothing else is left.
 */
export async function replaceFile(
  files: FileOperations,
  path: string,
  text: string,
): Promise<void> {
  const aside = `${path}${asideSuffix}`
  try {
    await writeSynced(files, aside, text)
    await files.rename(aside, path)
  } catch (error) {
    await files.unlink(aside).catch(() => undefined)
    throw notWritten(path, error)
  }
  await syncNames(files, dirname(path))
}

/** After a change of names: it is done, and when this fails, a loss of power may undo it. */
export async function syncNames(files: FileOperations, folder: string): Promise<void> {
  await files.sync(folder).catch((cause: unknown) => {
    const { message } = cause as Error
    const text = `${folder} has changed, but a loss of power may undo that: ${message}`
    throw new ManagerError('ERR_STORE', `${text}: look at the disk`, { cause })
  })
}

/** Writes a file, and waits until it is on the disk. */
export async function writeSynced(
  files: FileOperations,
  path: string,
  text: string,
): Promise<void> {
  const file = await files.create(path)
  try {
    await file.write(text)
    await file.sync()
  } finally {
    await file.close()
  }
}

/** What cannot be written, with what to do about it. */
export function notWritten(path: string, cause: unknown): ManagerError {
  const { code, message } = cause as NodeJS.ErrnoException
  const remedy = code === undefined ? undefined : remedies[code]
  return new ManagerError(
    'ERR_STORE',
    `cannot write ${path}: ${message}; what was there stays${remedy ? `: ${remedy}` : ''}`,
    { cause },
  )
}

const remedies: Readonly<Record<string, string>> = {
  ENOSPC: 'the disk is full, make room on it and try again',
  EDQUOT: "the user's share of the disk is used up, make room and try again",
  EROFS: 'the disk is read-only, mount it for writing or give another folder by --state DIR',
  EACCES: 'give the user of the daemon the right to write there',
}
