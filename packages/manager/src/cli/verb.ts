import type { Client } from '../client/index.ts'

/** What the command line was given, by option name. */
export type Values = Record<string, string | boolean | undefined>

/** What a verb works with. */
interface Context {
  /** Its options. */
  readonly values: Values
  /** What else stands on the line. */
  readonly words: readonly string[]
  /** The daemon's client, which is made once. */
  readonly client: () => Promise<Client>
}

/** Returns the exit code. */
export type Run = (context: Context) => Promise<number>

/** One option: parsing, help, messages and completion are made of it. */
export interface Option {
  readonly about: string
  /** What the help calls its value; without one the option takes none. FILE stands for a path. */
  readonly value?: string
  /** One letter that stands for it. */
  readonly short?: string
  /** The values that there are. */
  readonly words?: readonly string[]
}

/** What follows the name of a verb. */
interface Argument {
  /** MACHINE stands for the name or UUID of a machine. */
  readonly name: string
  /** The words that there are. */
  readonly words?: readonly string[]
}

/** One verb, as far as it can be told without running it. */
export interface Verb {
  readonly name: string
  /** For the list of verbs. */
  readonly summary: string
  readonly usage: string
  readonly about: string
  readonly argument?: Argument
  /** How many words follow it. */
  readonly words: readonly [least: number, most: number]
  readonly options: Readonly<Record<string, Option>>
  /** Exit codes and examples. */
  readonly notes?: string
  readonly load: () => Promise<Run>
}

/** What the exit codes mean: those of `vmexit`. */
export const exitCodes = {
  fine: 0,
  hostFailure: 1,
  usage: 2,
  timeout: 124,
  /** What a shell calls the end by SIGINT. */
  interrupted: 130,
} as const

/** The command line is wrong: exit code 2. */
export class UsageError extends Error {
  /** For programs. */
  readonly code = 'ERR_INVALID_OPTION'
}

/** An option's text, if it was given. */
export function textOf(values: Values, name: string): string | undefined {
  const value = values[name]
  return typeof value === 'string' ? value : undefined
}

/** A whole number, by its option's name. */
export function numberOf(values: Values, name: string, most: number): number | undefined {
  const text = textOf(values, name)
  if (text === undefined) return undefined
  const value = /^\d{1,16}$/.test(text) ? Number(text) : Number.NaN
  if (value <= most) return value
  throw new UsageError(`--${name} must be a whole number up to ${most}, got '${text}'`)
}

const milliseconds: Record<string, number> = { '': 1000, s: 1000, ms: 1, m: 60_000 }

/** A duration in milliseconds: seconds, or with a unit. */
export function durationOf(values: Values, name: string): number | undefined {
  const text = textOf(values, name)
  if (text === undefined) return undefined
  const [, digits, unit = ''] = /^(\d{1,9}(?:\.\d{1,9})?)(ms|s|m)?$/.exec(text) ?? []
  if (digits !== undefined) return Number(digits) * milliseconds[unit]!
  throw new UsageError(`--${name} must be seconds, or a time such as 250ms or 2m, got '${text}'`)
}
