import { readFileSync } from 'node:fs'
import { type ParseArgsConfig, styleText } from 'node:util'

import { raise } from '../errors.ts'

/** What the command line was given, by option name. */
export type Values = Record<string, string | boolean | (string | boolean)[] | undefined>

/** One command. */
export interface Command {
  readonly help: string
  readonly options: NonNullable<ParseArgsConfig['options']>
  /** Returns the exit code. */
  run(values: Values, positionals: readonly string[]): Promise<number>
}

/** What the exit codes mean. */
export const exitCodes = {
  fine: 0,
  hostFailure: 1,
  usage: 2,
  abnormalGuest: 3,
  timeout: 124,
} as const

/** The command line is wrong: exit code 2. */
export class UsageError extends Error {
  /** Throws one. */
  static raise(message: string): never {
    return raise(new UsageError(message))
  }
}

/** The version in package.json. */
export function packageVersion(): string {
  const url = new URL('../../package.json', import.meta.url)
  return (JSON.parse(readFileSync(url, 'utf8')) as { version: string }).version
}

/** A word in colour, where a person reads it and has not said NO_COLOR. */
export function paint(style: 'green' | 'red' | 'yellow' | 'dim' | 'bold', text: string): string {
  return process.stdout.isTTY && !process.env['NO_COLOR'] ? styleText(style, text) : text
}

/** One JSON document on stdout. Bigints become decimal strings, bytes hexadecimal ones. */
export function printJson(value: unknown): void {
  const text = JSON.stringify(
    value,
    (_, item: unknown) => {
      if (typeof item === 'bigint') return item.toString()
      return item instanceof Uint8Array ? Buffer.from(item).toString('hex') : item
    },
    2,
  )
  process.stdout.write(`${text}\n`)
}
