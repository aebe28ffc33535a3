import { chmodSync, linkSync, lstatSync, mkdtempSync, rmSync, unlinkSync } from 'node:fs'
import { type Server, connect } from 'node:net'
import { dirname, join } from 'node:path'

import { VmError, fail, raise } from '../../native/errors.ts'

/** The longest path of a socket: `sun_path` of unix(7), without the byte that ends it. */
const maxPathBytes = 107

/** A socket of ours in the file system. */
export interface BoundSocket {
  readonly path: string
  /** Removes it, if it still is ours. */
  remove(): void
}

/**
 * Listens on a Unix socket that nobody but this user can ever connect to: it is made in a folder of
 * its own, gets its mode there, and only then its name. What a process left behind that has gone
 * is replaced.
 */
export async function bindSocket(server: Server, path: string): Promise<BoundSocket> {
  try {
    await removeStale(path)
    const folder = mkdtempSync(join(dirname(path), '.v'))
    try {
      const made = join(folder, 's')
      checkLength(path, made)
      await new Promise<void>((resolve, reject) => {
        server.once('error', reject)
        server.listen({ path: made, exclusive: true }, resolve)
      })
      chmodSync(made, 0o600)
      linkSync(made, path)
    } finally {
      rmSync(folder, { recursive: true, force: true })
    }
  } catch (error) {
    server.close()
    return raise(error instanceof VmError ? error : pathError(path, error as NodeJS.ErrnoException))
  }
  const { dev, ino } = lstatSync(path)
  return {
    path,
    remove() {
      const there = lstatSync(path, { throwIfNoEntry: false })
      if (there?.ino === ino && there.dev === dev) rmSync(path, { force: true })
    },
  }
}

function checkLength(...paths: string[]): void {
  const bytes = Math.max(...paths.map((path) => Buffer.byteLength(path)))
  if (bytes <= maxPathBytes) return
  fail(
    'ERR_INVALID_OPTION',
    `path: ${bytes} bytes are too long for a socket, whose path has at most ${maxPathBytes}; choose a folder nearer to the root`,
  )
}

async function removeStale(path: string): Promise<void> {
  const there = lstatSync(path, { throwIfNoEntry: false })
  if (!there) return
  if (!there.isSocket()) {
    return fail('ERR_INVALID_OPTION', `path: ${path} exists and is no socket; name another`)
  }
  if (await isServed(path)) {
    return fail(
      'ERR_INVALID_OPTION',
      `path: ${path} is in use: somebody listens there; name another`,
    )
  }
  unlinkSync(path)
}

/** Whether somebody listens, for all that can be told. */
function isServed(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path)
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', ({ code }: NodeJS.ErrnoException) => resolve(code !== 'ECONNREFUSED'))
  })
}

function pathError(path: string, error: NodeJS.ErrnoException): VmError {
  const what = `path: no socket can be made at ${path}: ${error.message}`
  return new VmError('ERR_INVALID_OPTION', `${what}; name one in a folder that you may write to`, {
    cause: error,
  })
}
