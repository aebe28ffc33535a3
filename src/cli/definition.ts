import { readFileSync, statSync } from 'node:fs'

import type { DefinedCard, DefinedImage, MachineDefinition } from '../index.ts'
import { UsageError, type Values } from './command.ts'
import { textOf } from './session/image.ts'
import { parseDisk, parseNumber, parsePort, parseScreen, parseSize, parseWord } from './values.ts'
import { words } from './words.ts'

/** A definition is written by hand, or by a program that names files. */
const maxBytes = 1 << 20

/** What flags say of a machine. The rest of the command line is about the run. */
export function machineOf(values: Values): Omit<MachineDefinition, 'payload'> {
  const machine: Omit<MachineDefinition, 'payload'> = {}
  const take = taker(values)
  take('mode', (text, flag) => (machine.mode = parseWord(flag, words.modes, text)))
  take('privilege', (text, flag) => (machine.privilege = parseWord(flag, words.privileges, text)))
  take('faults', (text, flag) => (machine.faults = parseWord(flag, words.faults, text)))
  take('memory', (text, flag) => (machine.memoryBytes = parseSize(flag, text)))
  take('cpus', (text, flag) => (machine.vcpus = parseNumber(flag, text)))
  const disks = (values['disk'] ?? []) as string[]
  if (disks.length > 0) machine.disks = disks.map(parseDisk)
  take('net', (text, flag) => (machine.network = [parseNetwork(flag, text)]))
  for (const name of ['irqchip', 'serial', 'pc'] as const) if (values[name]) machine[name] = true
  take('screen', (text, flag) => (machine.screen = parseScreen(flag, text)))
  const ports = (values['port'] ?? []) as string[]
  if (ports.length > 0) machine.routes = ports.map(parsePort)
  return machine
}

/** What flags say of its payload. */
export function payloadOf(values: Values): Partial<DefinedImage> {
  const payload: Partial<DefinedImage> = {}
  const take = taker(values)
  take('format', (text, flag) => (payload.format = parseWord(flag, words.formats, text)))
  take('load', (text, flag) => (payload.loadGpa = parseNumber(flag, text)))
  take('entry', (text, flag) => (payload.entryGpa = parseNumber(flag, text)))
  return payload
}

function parseNetwork(flag: string, text: string): DefinedCard {
  parseWord(flag, words.networks, text)
  return { passt: true }
}

function taker(values: Values): (name: string, use: (text: string, flag: string) => void) => void {
  return (name, use) => {
    const text = textOf(values, name)
    if (text !== undefined) use(text, `--${name}`)
  }
}

/** The JSON document in a file. Its shape is yet to be checked. */
export function readDefinition(path: string): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytesOf(path)))
  } catch (error) {
    const { message } = error as Error
    return UsageError.raise(`cannot read the definition '${path}': ${message}`)
  }
}

function bytesOf(path: string): Uint8Array {
  const found = statSync(path)
  if (!found.isFile()) return UsageError.raise('it is no regular file')
  if (found.size > maxBytes)
    return UsageError.raise(`it has ${found.size} bytes, of which ${maxBytes} are allowed`)
  return readFileSync(path)
}

/**
 * A definition with what flags say in the place of its own keys; their routes follow its own. What
 * is no object stays as it is.
 */
export function overridden(
  definition: unknown,
  machine: Omit<MachineDefinition, 'payload'>,
  payload: Partial<DefinedImage>,
): unknown {
  if (!isObject(definition)) return definition
  const { routes, payload: own } = definition
  const { routes: ports = [], ...flags } = machine
  const replaces = Object.keys(payload).length > 0
  return {
    ...definition,
    ...flags,
    ...(ports.length > 0 && {
      routes:
        routes === undefined || Array.isArray(routes) ? [...(routes ?? []), ...ports] : routes,
    }),
    ...(replaces && { payload: imageOver(own, payload) }),
  }
}

function imageOver(own: unknown, payload: Partial<DefinedImage>): unknown {
  if (own === undefined) return payload
  if (!isObject(own)) return own
  const { guest: _guest, ...image } = own
  // An image takes the place of an embedded guest.
  return payload.file === undefined ? { ...own, ...payload } : { ...image, ...payload }
}

/** What can be a definition, or a part of one. */
export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
