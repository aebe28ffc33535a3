import type { CpuMode, ImageFormat, Privilege } from '../options.ts'
import type { Route } from '../routes.ts'
import { UsageError } from './command.ts'

const units: Record<string, number> = { '': 1, k: 2 ** 10, m: 2 ** 20, g: 2 ** 30 }
const milliseconds: Record<string, number> = { ms: 1, s: 1000, m: 60_000 }

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

/** `--mode`. */
export function parseMode(text: string): CpuMode {
  const modes: CpuMode[] = ['real', 'protected', 'paged32', 'long']
  return modes.find((mode) => mode === text) ?? refuse('--mode', `one of ${modes.join(', ')}`, text)
}

/** `--format`. */
export function parseFormat(text: string): ImageFormat {
  const formats: ImageFormat[] = ['flat', 'elf', 'multiboot', 'pvh', 'bzimage']
  const found = formats.find((format) => format === text)
  return found ?? refuse('--format', `one of ${formats.join(', ')}`, text)
}

/** `--privilege`. */
export function parsePrivilege(text: string): Privilege {
  return text === 'user' || text === 'kernel' ? text : refuse('--privilege', 'kernel or user', text)
}

/** `--port 0xe9=console`, `--port 0x60-0x64=constant:0xff`. */
export function parsePort(text: string): Route {
  const expected = 'PORT[-LAST]=console, stop, discard, count or constant:VALUE'
  const [, first, last, to, value] = /^([^=-]+)(?:-([^=]+))?=(\w+)(?::(.+))?$/.exec(text) ?? []
  if (first === undefined) return refuse('--port', expected, text)
  const port = parseNumber('--port', first)
  const length = last === undefined ? 1 : parseNumber('--port', last) - port + 1
  if (to === 'constant' && value !== undefined) {
    return { port, length, to, value: parseNumber('--port', value) }
  }
  if (
    value === undefined &&
    (to === 'console' || to === 'stop' || to === 'discard' || to === 'count')
  ) {
    return { port, length, to }
  }
  return refuse('--port', expected, text)
}

function refuse(option: string, expected: string, got: string): never {
  return UsageError.raise(`${option} must be ${expected}, got '${got}'`)
}
