import { fleetError } from '../job/error.ts'

/** What the command line was given, by option name. */
export type Values = Readonly<Record<string, string | boolean | undefined>>

/** What a verb works with. */
export interface Context {
  readonly values: Values
  /** What else stands on the line. */
  readonly words: readonly string[]
}

/** Returns the exit code. */
export type Run = (context: Context) => Promise<number>

/** One option: parsing, help and completion are made of it. */
export interface Option {
  readonly about: string
  /** What the help calls its value; without one the option takes none. FILE stands for a path. */
  readonly value?: string
}

/** One verb, as far as it can be told without running it. */
export interface Verb {
  readonly name: string
  /** For the list of verbs. */
  readonly summary: string
  readonly usage: string
  readonly about: string
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
  /** The host failed, or a job did. */
  failure: 1,
  usage: 2,
  timeout: 124,
  /** What a shell calls the end by SIGINT. */
  interrupted: 130,
} as const

/** The command line is wrong: exit code 2. */
export function usage(message: string): never {
  throw fleetError('ERR_INVALID_OPTION', message)
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
  if (value >= 1 && value <= most) return value
  return usage(`--${name} must be a whole number from 1 to ${most}, got '${text}'`)
}

const milliseconds: Readonly<Record<string, number>> = { '': 1000, s: 1000, ms: 1, m: 60_000 }

/** A duration in milliseconds: seconds, or with a unit. */
export function durationOf(values: Values, name: string): number | undefined {
  const text = textOf(values, name)
  if (text === undefined) return undefined
  const [, digits, unit = ''] = /^(\d{1,9}(?:\.\d{1,9})?)(ms|s|m)?$/.exec(text) ?? []
  if (digits !== undefined) return Math.round(Number(digits) * (milliseconds[unit] ?? 1000))
  return usage(`--${name} must be seconds, or a time such as 250ms or 2m, got '${text}'`)
}
