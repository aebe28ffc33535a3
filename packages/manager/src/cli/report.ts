import { printJson, tell } from './output.ts'
import { UsageError, type Verb, exitCodes } from './verb.ts'

/** A failure as a program reads it. */
export interface Told {
  readonly code: string
  readonly message: string
}

/** Failures that a different command line or file would not have. */
const usageCodes = ['ERR_INVALID_OPTION', 'ERR_LIMIT']

/** What failed. */
export function told(error: unknown): Told {
  const { code } = error as { code?: unknown }
  return {
    code: typeof code === 'string' ? code : 'ERR_INTERNAL',
    message: error instanceof Error ? error.message : String(error),
  }
}

/** The exit code for it. */
export function exitCodeOf({ code }: Told): number {
  if (usageCodes.includes(code)) return exitCodes.usage
  return code === 'ERR_TIMEOUT' ? exitCodes.timeout : exitCodes.hostFailure
}

/** Says what failed and returns the exit code for it. */
export function reportError(error: unknown, verb: Verb | undefined, json: boolean): number {
  const failure = told(error)
  if (json) printJson({ error: failure })
  const help = `vmexit ${verb ? `${verb.name} ` : ''}--help`
  const { code, message } = failure
  if (error instanceof UsageError)
    tell(`${message}${message.endsWith('?') ? ' See' : '; see'} ${help}`)
  else if (code !== 'ERR_INTERNAL') tell(`${code}: ${message}`)
  else tell(error instanceof Error ? (error.stack ?? message) : message)
  return exitCodeOf(failure)
}
