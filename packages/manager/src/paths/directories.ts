import { lstat, mkdir, stat } from 'node:fs/promises'
import { homedir } from 'node:os'
import { dirname, isAbsolute, join, resolve } from 'node:path'

import { ManagerError } from '../supervisor/errors.ts'

/** What decides where the directories are; by default this process's own. */
export interface Surroundings {
  /** Environment variables. */
  readonly env: Readonly<Record<string, string | undefined>>
  /** The user's number. */
  readonly uid: number
  /** The user's home. */
  readonly home: string
}

/** Those of this process. */
function surroundings(): Surroundings {
  return { env: process.env, uid: process.geteuid?.() ?? 0, home: homedir() }
}

/**
 * Where definitions are kept: `given`, else `$XDG_STATE_HOME/vmexit`, else `/var/lib/vmexit` for
 * root and `~/.local/state/vmexit` for others.
 */
export function stateDirectory(given?: string, around: Surroundings = surroundings()): string {
  if (given !== undefined) return givenDirectory('--state', given)
  const base = fromEnvironment(around, 'XDG_STATE_HOME')
  if (base !== undefined) return join(base, 'vmexit')
  if (around.uid === 0) return '/var/lib/vmexit'
  return join(around.home, '.local', 'state', 'vmexit')
}

/**
 * Where sockets are: `given`, else `$XDG_RUNTIME_DIR/vmexit`, else `/run/vmexit` for root. For
 * others there is no such place: `ERR_SOCKET`.
 */
export function runtimeDirectory(given?: string, around: Surroundings = surroundings()): string {
  if (given !== undefined) return givenDirectory('--runtime', given)
  const base = fromEnvironment(around, 'XDG_RUNTIME_DIR')
  if (base !== undefined) return join(base, 'vmexit')
  if (around.uid === 0) return '/run/vmexit'
  throw new ManagerError(
    'ERR_SOCKET',
    'XDG_RUNTIME_DIR is not set, so there is no place for sockets: ' +
      'log in by a session that sets it, or give a directory by --runtime DIR',
  )
}

function givenDirectory(option: string, given: string): string {
  if (given === '' || given.includes('\0'))
    throw new ManagerError('ERR_INVALID_OPTION', `${option} must be a path, got ${show(given)}`)
  return resolve(given)
}

/** The specification of XDG's directories: what is empty or relative is as if it were not there. */
function fromEnvironment({ env }: Surroundings, name: string): string | undefined {
  const value = env[name]
  return value !== undefined && isAbsolute(value) && !value.includes('\0') ? value : undefined
}

/**
 * Makes a directory with mode 0700, and those above it, and refuses one that is there but belongs
 * to another user or that others may write: whoever can write there can put own code or sockets in
 * its place.
 *
 * @param option What gives another one, for messages.
 */
export async function makePrivateDirectory(path: string, option: string): Promise<void> {
  try {
    await makeFolders(path)
    await checkPrivate(path, option)
  } catch (error) {
    if (error instanceof ManagerError) throw error
    const { message } = error as Error
    const remedy = `give another one by ${option} DIR`
    throw new ManagerError('ERR_STORE', `cannot make ${path}: ${message}; ${remedy}`, {
      cause: error,
    })
  }
}

/** Node's own way of making those above, too, does not end where the kernel says `ENOENT`. */
async function makeFolders(path: string): Promise<void> {
  if (await isThere(path)) return
  if (dirname(path) !== path) await makeFolders(dirname(path))
  await mkdir(path, { mode: 0o700 }).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'EEXIST') throw error
  })
}

function isThere(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  )
}

async function checkPrivate(path: string, option: string): Promise<void> {
  const mine = process.geteuid?.() ?? 0
  const link = await lstat(path)
  const found = link.isSymbolicLink() ? await stat(path) : link
  const refuse = (reason: string, remedy: string): never => {
    throw new ManagerError('ERR_FORBIDDEN', `${path} ${reason}: ${remedy}`)
  }
  const another = `give another one by ${option} DIR`
  if (!found.isDirectory()) refuse('is no directory', another)
  // A link of root's is as good as root's directories above it.
  if (link !== found && link.uid !== mine && link.uid !== 0)
    refuse(`is a link of user ${link.uid}`, another)
  if (found.uid !== mine)
    refuse(`belongs to user ${found.uid}, and this process to user ${mine}`, another)
  if ((found.mode & 0o022) !== 0) {
    const mode = (found.mode & 0o777).toString(8)
    refuse(`can be written by others, its mode is 0${mode}`, `chmod 0700 ${path}, or ${another}`)
  }
}

function show(text: string): string {
  return JSON.stringify(text.length > 60 ? `${text.slice(0, 60)}…` : text)
}
