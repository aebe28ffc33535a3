import { randomUUID } from 'node:crypto'

import { daemonSocketNames } from '../paths/sockets.ts'
import { ManagerError } from '../supervisor/errors.ts'
import { show } from './show.ts'

/** Names of machines, groups and snapshots: they are names of folders, too. */
const namePattern = /^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/

const uuidPattern = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/

/** In words. */
const nameExpected = 'up to 63 letters, digits, ., _ and -, beginning with a letter or digit'

/** Whether a value is a name of a machine, a group or a snapshot. */
export function isName(value: unknown): value is string {
  return typeof value === 'string' && namePattern.test(value)
}

/** The value as a name, or `ERR_INVALID_OPTION`; `what` is what messages call it. */
export function checkName(value: unknown, what: string): string {
  if (isName(value)) return value
  throw new ManagerError(
    'ERR_INVALID_OPTION',
    `${what} must be ${nameExpected}, got ${show(value)}`,
  )
}

/**
 * The value as the name of a machine, or `ERR_INVALID_OPTION`. A machine has a folder beside the
 * daemon's sockets, so their names are taken.
 */
export function checkMachineName(value: unknown, what: string): string {
  const name = checkName(value, what)
  const taken = daemonSocketNames.find((each) => each === name)
  if (taken === undefined) return name
  throw new ManagerError('ERR_INVALID_OPTION', `${what} must not be ${taken}, a socket's name`)
}

/** A fresh UUID. */
export function newUuid(): string {
  return randomUUID()
}

/** Whether a value is a UUID as it is stored: lower-case, with hyphens. */
export function isUuid(value: unknown): value is string {
  return typeof value === 'string' && uuidPattern.test(value)
}

/** The value as a UUID in lower case, or `ERR_INVALID_OPTION`. */
export function checkUuid(value: unknown, what: string): string {
  const lower = typeof value === 'string' ? value.toLowerCase() : value
  if (isUuid(lower)) return lower
  throw new ManagerError(
    'ERR_INVALID_OPTION',
    `${what} must be a UUID, such as ${newUuid()}, got ${show(value)}`,
  )
}
