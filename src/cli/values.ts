import { resolve } from 'node:path'

import type { DefinedDisk, DefinedRoute, DefinedScreen } from '../definition/types.ts'
import { suggestion } from '../options/nearest.ts'
import { plainKinds } from '../options/plain-routes.ts'
import type { RouteKind } from '../options/route-kind.ts'
import { UsageError } from './command.ts'

const units: Record<string, number> = { '': 1, k: 2 ** 10, m: 2 ** 20, g: 2 ** 30 }
const milliseconds: Record<string, number> = { ms: 1, s: 1000, m: 60_000 }
const plain = Object.entries<RouteKind>(plainKinds)

/** A decimal or hexadecimal number. */
export function parseNumber(option: string, text: string): number {
  const value = /^(0x[\da-f]+|\d+)$/i.test(text) ? Number(text) : Number.NaN
  return Number.isSafeInteger(value)
    ? value
    : refuse(option, 'a number such as 4096 or 0x1000', text)
}

/** A size: `2M`, `64K`, `1G`, or bytes. */
export function parseSize(option: string, text: string): number {
  const [, digits = '', unit = ''] = /^(\d+|0x[\da-f]+?)([kmg]?)$/i.exec(text) ?? []
  const scale = units[unit.toLowerCase()] ?? 1
  return digits ? parseNumber(option, digits) * scale : refuse(option, 'a size such as 2M', text)
}

/** A duration: `5s`, `250ms`, `2m`; in milliseconds. */
export function parseDuration(option: string, text: string): number {
  const [, digits, unit = ''] = /^(\d+(?:\.\d+)?)(ms|s|m)$/.exec(text) ?? []
  return digits
    ? Number(digits) * milliseconds[unit]!
    : refuse(option, 'a duration such as 5s or 250ms', text)
}

/** One of several words. */
export function parseWord<T extends string>(option: string, words: readonly T[], text: string): T {
  const found = words.find((word) => word === text)
  return found ?? refuse(option, `one of ${words.join(', ')}`, text, words)
}

/** What follows the `=` of `--port`. */
export function portTargets(): string {
  const names = plain.map(([name, kind]) => (isValued(kind) ? `${name}:VALUE` : name))
  return `${names.slice(0, -1).join(', ')} or ${names.at(-1)}`
}

/** `--port 0xe9=console`, `--port 0x60-0x64=constant:0xff`. */
export function parsePort(text: string): DefinedRoute {
  const expected = `PORT[-LAST]=${portTargets()}`
  const [, first, last, to, value] = /^([^=-]+)(?:-([^=]+))?=(\w+)(?::(.+))?$/.exec(text) ?? []
  if (first === undefined) return refuse('--port', expected, text)
  const port = parseNumber('--port', first)
  const length = last === undefined ? 1 : parseNumber('--port', last) - port + 1
  const kind = plain.find(([name]) => name === to)?.[1]
  if (kind && isValued(kind) === (value !== undefined)) {
    const given = value === undefined ? {} : { value: parseNumber('--port', value) }
    return { port, length, to, ...given } as DefinedRoute
  }
  return refuse('--port', expected, text, kind ? [] : plain.map(([name]) => name), to)
}

/** `--disk root.img`, `--disk root.img:ro`, `--disk root.img:volatile`. */
export function parseDisk(text: string): DefinedDisk {
  const [, path = '', kind] = /^(.+?)(?::(ro|volatile))?$/s.exec(text) ?? []
  if (path === '') return refuse('--disk', 'FILE, FILE:ro or FILE:volatile', text)
  const more = { ro: { readOnly: true }, volatile: { volatile: true } }
  return { file: resolve(path), ...more[kind as keyof typeof more] }
}

/** A directory or file of the host, and where a process finds it. */
export interface GivenDirectory {
  readonly host: string
  readonly guest: string
  readonly readOnly: boolean
}

/** `--dir /usr`, `--dir /usr:ro`, `--dir out:/out`, `--dir out:/out:ro`. */
export function parseDirectory(text: string): GivenDirectory {
  const [, host, guest, readOnly] = /^([^:]+?)(?::(\/[^:]*))?(:ro)?$/.exec(text) ?? []
  if (host === undefined) return refuse('--dir', 'HOST, or HOST:GUEST with GUEST absolute', text)
  const path = resolve(host)
  return { host: path, guest: resolve(guest ?? path), readOnly: readOnly !== undefined }
}

/** `--env NAME=VALUE`. */
export function parseVariable(text: string): [name: string, value: string] {
  const [, name, value] = /^([^=]+)=(.*)$/s.exec(text) ?? []
  return name === undefined ? refuse('--env', 'NAME=VALUE', text) : [name, value!]
}

/** `--screen text`, `--screen 1024x768`. */
export function parseScreen(option: string, text: string): DefinedScreen {
  if (text === 'text') return text
  const [, width, height] = /^(\d{1,9})x(\d{1,9})$/.exec(text) ?? []
  return width === undefined
    ? refuse(option, 'text or a size such as 1024x768', text)
    : { width: Number(width), height: Number(height) }
}

const isValued = (kind: RouteKind): boolean => kind.values !== undefined

function refuse(
  option: string,
  expected: string,
  got: string,
  words: readonly string[] = [],
  word = got,
): never {
  const meant = suggestion(word, words)
  return UsageError.raise(`${option} must be ${expected}, got '${got}'${meant}`)
}
