import type { DefinedNumber, MachineDefinition } from 'vmexit'

import { ManagerError } from '../supervisor/errors.ts'
import { show } from './show.ts'

const maxVcpus = 64
const pageBytes = 4096
const maxMemoryBytes = 3n * 2n ** 30n

/**
 * What the schema leaves to the machine and can be told without one: ranges and keys that need each
 * other. A definition that a machine refuses is better refused when it is made.
 */
export function checkMeaning(definition: MachineDefinition): void {
  const { vcpus, memoryBytes, slots, screen, pc, privilege, mode } = definition
  range('vcpus', vcpus, 1, maxVcpus)
  pages('memoryBytes', memoryBytes)
  if (memoryBytes !== undefined && BigInt(memoryBytes) > maxMemoryBytes)
    invalid('memoryBytes', 'at most 3 GiB', memoryBytes)
  for (const [index, { gpa, bytes }] of (slots ?? []).entries()) {
    pages(`slots[${index}].gpa`, gpa)
    pages(`slots[${index}].bytes`, bytes)
  }
  if (typeof screen === 'object') {
    range('screen.width', screen.width, 64, 4096)
    range('screen.height', screen.height, 64, 2160)
  }
  if (screen !== undefined && pc !== true) invalid('screen', 'given beside pc true only', screen)
  if (privilege === 'user' && mode !== undefined && mode !== 'long')
    invalid('privilege', 'kernel unless mode is long', privilege)
}

function range(key: string, value: number | undefined, least: number, most: number): void {
  if (value !== undefined && (value < least || value > most))
    invalid(key, `a whole number from ${least} to ${most}`, value)
}

function pages(key: string, value: DefinedNumber | undefined): void {
  if (value !== undefined && BigInt(value) % BigInt(pageBytes) !== 0n)
    invalid(key, `a multiple of ${pageBytes}`, value)
}

function invalid(key: string, expected: string, value: unknown): never {
  throw new ManagerError(
    'ERR_INVALID_OPTION',
    `definition.${key} must be ${expected}, got ${show(value)}`,
  )
}
