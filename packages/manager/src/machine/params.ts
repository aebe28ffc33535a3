// Parameters come from outside: each is checked before it is used.
import { isAbsolute } from 'node:path'

import type { MachineDefinition } from 'vmexit'

import { checkName, checkUuid } from '../definition/index.ts'
import { ManagerError } from '../supervisor/errors.ts'
import { type Params, type StartParams, maxHoldMs, maxKeys, maxMemoryBytes } from '../wire/index.ts'

/** Of `start`; the definition's own keys are checked where it is used. */
export function checkStart({ name, uuid, definition, paused, from }: Params): StartParams {
  const isObject = typeof definition === 'object' && definition !== null
  return {
    name: checkName(name, 'name'),
    uuid: checkUuid(uuid, 'uuid'),
    definition: isObject ? (definition as MachineDefinition) : wrong('definition', 'an object'),
    paused: paused === true,
    ...(from === undefined ? {} : { from: checkPath('from', from) }),
  }
}

/** An absolute path. */
export function checkPath(what: string, value: unknown): string {
  const isPath = typeof value === 'string' && isAbsolute(value) && !value.includes('\0')
  return isPath ? value : wrong(what, 'an absolute path')
}

/** Of `sendKeys`. */
export function checkKeys({ codes, holdMs = 0 }: Params): { codes: string[]; holdMs: number } {
  const isList =
    Array.isArray(codes) &&
    codes.length > 0 &&
    codes.length <= maxKeys &&
    codes.every((code) => typeof code === 'string')
  if (!isList) return wrong('codes', `1 to ${maxKeys} names of keys`)
  return { codes: codes as string[], holdMs: checkWhole('holdMs', holdMs, maxHoldMs) }
}

/** Of `memory`. */
export function checkMemory({ gpa, bytes }: Params): { gpa: number; bytes: number } {
  return {
    gpa: checkWhole('gpa', gpa, Number.MAX_SAFE_INTEGER),
    bytes: checkWhole('bytes', bytes, maxMemoryBytes),
  }
}

function checkWhole(what: string, value: unknown, most: number): number {
  const isWhole = Number.isSafeInteger(value) && (value as number) >= 0 && (value as number) <= most
  return isWhole ? (value as number) : wrong(what, `a whole number from 0 to ${most}`)
}

function wrong(what: string, expected: string): never {
  throw new ManagerError('ERR_INVALID_OPTION', `${what} must be ${expected}`)
}
