import { readFileSync } from 'node:fs'

import { raise } from '../native/errors.ts'

/** What the command line was given, by option name. */
export type Values = Record<string, string | boolean | (string | boolean)[] | undefined>

/** Returns the exit code. */
export type Run = (values: Values, positionals: readonly string[]) => Promise<number>

/** One option: parsing, help, messages and completion are made of it. */
export interface Option {
  readonly about: string
  /** What the help calls its value; without one the option takes none. FILE stands for a path. */
  readonly value?: string
  /**
   * Given for one that may stand without its value: a word after it is its value only if it is like
   * this. `--option=VALUE` says any.
   */
  readonly optional?: RegExp
  /** The values that there are. */
  readonly words?: readonly string[]
  readonly multiple?: boolean
  /** The names that messages of the API have for it. */
  readonly api?: readonly string[]
}

/** What follows the name of a command. */
export interface Argument {
  readonly name: string
  /** The words that there are; otherwise it is a path. */
  readonly words?: readonly string[]
  readonly optional?: boolean
  readonly api?: readonly string[]
  /** A path that follows it. */
  readonly followedBy?: string
}

/** One command, as far as it can be told without the binding. */
export interface Command {
  readonly name: string
  /** For the list of commands. */
  readonly summary: string
  /** What follows the first line of its help; made of its options where this is not given. */
  readonly usage: string
  readonly about: string
  readonly argument?: Argument
  /** What follows the argument is another program's: options end at the argument, or at `--`. */
  readonly isProgram?: boolean
  readonly options: Readonly<Record<string, Option>>
  /** Exit codes and examples. */
  readonly notes?: string
  readonly load: () => Promise<Run>
}

/** What the exit codes mean. */
export const exitCodes = {
  fine: 0,
  hostFailure: 1,
  usage: 2,
  abnormalGuest: 3,
  reset: 4,
  timeout: 124,
  notExecutable: 126,
  notFound: 127,
  /** What a shell adds to the number of the signal that has ended a program. */
  signalled: 128,
  /** What a shell calls the end by SIGINT. */
  interrupted: 130,
} as const

/** The command line is wrong: exit code 2. */
export class UsageError extends Error {
  /** Throws one. */
  static raise(message: string): never {
    return raise(new UsageError(message))
  }
}

/** A program that cannot be run. */
export class ProgramError extends Error {
  readonly exitCode: number

  constructor(message: string, exitCode: number) {
    super(message)
    this.exitCode = exitCode
  }

  /** Throws one: exit code 127. */
  static notFound(message: string): never {
    return raise(new ProgramError(message, exitCodes.notFound))
  }

  /** Throws one: exit code 126. */
  static notExecutable(message: string): never {
    return raise(new ProgramError(message, exitCodes.notExecutable))
  }
}

/** The version in package.json. */
export function packageVersion(): string {
  const url = new URL('../../package.json', import.meta.url)
  return (JSON.parse(readFileSync(url, 'utf8')) as { version: string }).version
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

/** What a word too many may have been meant for: a bare `--gdb` takes none. */
export function forGdb(values: Values): string {
  return values['gdb'] === true ? '; the socket for gdb is named as --gdb=PATH' : ''
}
