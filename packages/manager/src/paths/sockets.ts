import { lstat, unlink } from 'node:fs/promises'
import { connect } from 'node:net'
import { join } from 'node:path'

import { ManagerError } from '../supervisor/errors.ts'

/** What `sun_path` holds, without the NUL at its end (unix(7)). */
const maxSocketPathBytes = 107

/** How long a socket that somebody may serve is given to answer. */
const connectMs = 5_000

/** The daemon's sockets. */
export interface DaemonSockets {
  /** HTTP. */
  readonly api: string
  /** libvirt's protocol. */
  readonly libvirt: string
}

/** What a machine that runs has in the runtime directory. */
export interface MachinePaths {
  /** Its folder there. */
  readonly folder: string
  /** What the daemon tells it by. */
  readonly control: string
  /** Its serial port, or console. */
  readonly serial: string
  /** Its screen, by RFB. */
  readonly screen: string
  /** Its process: its number and when it began. */
  readonly pid: string
  /** How it ended, written before its process exits. */
  readonly end: string
}

/** What the process of a group has there. */
export interface GroupPaths {
  /** Its folder there. */
  readonly folder: string
  /** What the daemon tells it by. */
  readonly control: string
  /** Its process: its number and when it began. */
  readonly pid: string
}

/** Names in the runtime directory that are no machine's. */
export const daemonSocketNames = ['api.sock', 'libvirt.sock'] as const

/** The daemon's sockets below a runtime directory; `ERR_SOCKET` if a path is too long. */
export function daemonSockets(runtime: string): DaemonSockets {
  const [api, libvirt] = daemonSocketNames
  return {
    api: checkSocketPath(join(runtime, api)),
    libvirt: checkSocketPath(join(runtime, libvirt)),
  }
}

/** A machine's sockets below a runtime directory; `ERR_SOCKET` if a path is too long. */
export function machinePaths(runtime: string, name: string): MachinePaths {
  const folder = join(runtime, name)
  return {
    folder,
    control: checkSocketPath(join(folder, 'control.sock')),
    serial: checkSocketPath(join(folder, 'serial.sock')),
    screen: checkSocketPath(join(folder, 'screen.sock')),
    pid: join(folder, 'pid'),
    end: join(folder, 'end.json'),
  }
}

/** The socket of a group's process; `ERR_SOCKET` if its path is too long. */
export function groupPaths(runtime: string, group: string): GroupPaths {
  const folder = join(runtime, `.group-${group}`)
  return {
    folder,
    control: checkSocketPath(join(folder, 'control.sock')),
    pid: join(folder, 'pid'),
  }
}

/** The path, or `ERR_SOCKET` if it is too long for a socket. */
export function checkSocketPath(path: string): string {
  const bytes = Buffer.byteLength(path)
  if (bytes <= maxSocketPathBytes) return path
  throw new ManagerError(
    'ERR_SOCKET',
    `the path of a socket has at most ${maxSocketPathBytes} bytes, ${path} has ${bytes}: ` +
      'choose a shorter name, or a shorter runtime directory by --runtime DIR',
  )
}

/**
 * Makes way for a socket: what is left over of a process that is gone is removed. If somebody
 * serves it, or it is something else, the error is `ERR_SOCKET`.
 */
export async function clearSocket(path: string): Promise<void> {
  checkSocketPath(path)
  const found = await lstat(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined
    throw unusable(path, error)
  })
  if (!found) return
  if (!found.isSocket())
    throw new ManagerError('ERR_SOCKET', `${path} is no socket: remove it, or choose another place`)
  if (await isServed(path))
    throw new ManagerError(
      'ERR_SOCKET',
      `${path} is served by another process: end that one, or choose another place`,
    )
  await unlink(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw unusable(path, error)
  })
}

/** Whether a process listens on a socket. `ERR_SOCKET` when that cannot be told. */
export function isServed(path: string): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const socket = connect(path)
    const settle = (act: () => void): void => {
      socket.destroy()
      act()
    }
    socket.setTimeout(connectMs, () => settle(() => resolve(true)))
    socket.once('connect', () => settle(() => resolve(true)))
    socket.once('error', (error: NodeJS.ErrnoException) => {
      const { code } = error
      if (code === 'ECONNREFUSED' || code === 'ENOENT') settle(() => resolve(false))
      // Its queue of connections is full, so there is somebody.
      else if (code === 'EAGAIN') settle(() => resolve(true))
      else settle(() => reject(unusable(path, error)))
    })
  })
}

function unusable(path: string, cause: NodeJS.ErrnoException): ManagerError {
  return new ManagerError('ERR_SOCKET', `cannot use ${path}: ${cause.message}`, { cause })
}
