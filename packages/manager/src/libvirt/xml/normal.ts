import type { MachineDefinition } from 'vmexit'

import { isObject, type Json, type JsonObject } from './patch.ts'

/** What a definition without `memoryBytes` gets. */
const defaultMemoryBytes = 2 ** 21

/** Options that are as `pc` is, unless they are said. */
const asPc = ['serial', 'irqchip'] as const

/**
 * A definition in which everything that can be said in several ways is said in one: defaults of
 * what XML always says are there, others are not, and the memory is a number. Two definitions of
 * one normal form make the same machine.
 */
export function normalForm(name: string, definition: MachineDefinition): JsonObject {
  const made = structuredClone(definition) as unknown as JsonObject
  made['name'] = name
  made['memoryBytes'] = memoryBytes(made['memoryBytes'])
  made['vcpus'] ??= 1
  for (const key of asPc) if (made[key] === (made['pc'] ?? false)) delete made[key]
  if (made['pc'] === false) delete made['pc']
  for (const key of ['disks', 'network', 'routes', 'slots']) dropEmpty(made, key)
  const { disks, manager } = made
  if (Array.isArray(disks)) for (const disk of disks) tidyDisk(disk)
  if (isObject(manager)) tidyManager(made, manager)
  return made
}

function memoryBytes(value: Json | undefined): Json {
  const bytes = Number(value ?? defaultMemoryBytes)
  return Number.isSafeInteger(bytes) ? bytes : (value ?? null)
}

function dropEmpty(made: JsonObject, key: string): void {
  const list = made[key]
  if (Array.isArray(list) && list.length === 0) delete made[key]
}

function tidyDisk(disk: Json): void {
  if (!isObject(disk)) return
  for (const key of ['readOnly', 'volatile']) if (disk[key] === false) delete disk[key]
}

function tidyManager(made: JsonObject, manager: JsonObject): void {
  if (manager['restart'] === 'no') delete manager['restart']
  if (manager['autostart'] === false) delete manager['autostart']
  const { vnc } = manager
  if (isObject(vnc) && vnc['port'] === 0) delete vnc['port']
  if (Object.keys(manager).length === 0) delete made['manager']
}

/** How much memory and how many vCPUs a machine has. */
export function sizeOf(machine: { readonly definition: MachineDefinition }): {
  readonly memoryBytes: number
  readonly vcpus: number
} {
  const { memoryBytes: bytes, vcpus } = machine.definition
  return { memoryBytes: Number(bytes ?? defaultMemoryBytes), vcpus: vcpus ?? 1 }
}
