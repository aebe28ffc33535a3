import type { ErrorCode, VmError } from '../native/errors.ts'
import {
  type Command,
  ProgramError,
  UsageError,
  type Values,
  exitCodes,
  printJson,
} from './command.ts'
import { NotInstalled } from './manager.ts'

/** Failures that a different command line would not have. */
const usageCodes: readonly ErrorCode[] = ['ERR_INVALID_OPTION', 'ERR_LIMIT', 'ERR_PAYLOAD']

/** What was asked for, as far as it was understood. */
export interface Asked {
  readonly json: boolean
  readonly command?: Command | undefined
  readonly values?: Values | undefined
}

/** Whether it is an error of this package, also of the copy that users import. */
export function isVmError(error: unknown): error is VmError {
  return error instanceof Error && error.name === 'VmError'
}

/** Says what failed and returns the exit code for it. */
export function reportError(error: unknown, { json, command, values }: Asked): number {
  const isUsage =
    error instanceof UsageError || (isVmError(error) && usageCodes.includes(error.code))
  const said = error instanceof Error ? error.message : String(error)
  const message = isUsage && command ? inFlags(said, command, values) : said
  if (json) {
    const usual = error instanceof ProgramError ? 'ERR_PAYLOAD' : 'ERR_INVALID_OPTION'
    const { code = usual, call, errno } = error as Partial<VmError>
    printJson({ error: { code, message, call, errno } })
  }
  const help = `vmexit ${command ? `${command.name} ` : ''}--help`
  if (isUsage)
    process.stderr.write(`vmexit: ${message}${message.endsWith('?') ? ' See' : '; see'} ${help}\n`)
  else if (error instanceof NotInstalled || error instanceof ProgramError)
    process.stderr.write(`vmexit: ${message}\n`)
  else if (isVmError(error)) process.stderr.write(`vmexit: ${error.code}: ${message}\n`)
  else process.stderr.write(`vmexit: ${error instanceof Error ? error.stack : said}\n`)
  if (error instanceof ProgramError) return error.exitCode
  return isUsage ? exitCodes.usage : exitCodes.hostFailure
}

/** A message of the API in the words of the command line. */
function inFlags(message: string, { options, argument }: Command, values: Values = {}): string {
  // What a file says is said in its own words, and what a flag says in its place in the flag's.
  const isFile = values['file'] !== undefined
  const flags = Object.entries(options).flatMap(([name, { api = [] }]) =>
    isFile && !(name in values) ? [] : api.map((word) => [word, `--${name}`] as const),
  )
  const own = isFile ? [] : (argument?.api ?? [])
  const all = [...flags, ...own.map((word) => [word, argument!.name] as const)]
  const ports = (values['port'] ?? []) as string[]
  const text = isFile
    ? message
    : message.replaceAll(
        /routes\[(\d+)\](\.\w+)?/g,
        (_, index: string) => `--port ${ports[Number(index)]}`,
      )
  // The longest first: `payload.image` begins with `payload`.
  const byLength = all.toSorted(([a], [b]) => b.length - a.length)
  return byLength.reduce((said, [word, flag]) => said.replaceAll(pattern(word), flag), text)
}

/**
 * An option's name in a message. One that is a word of every day is only meant at the beginning and
 * before its value.
 */
function pattern(name: string): RegExp {
  const escaped = name.replaceAll(/[.[\]]/g, String.raw`\$&`)
  return /^[a-z]+$/.test(name)
    ? new RegExp(`(?<=^|: )${escaped}(?= |:)|(?<=^| )${escaped}(?= ')`, 'g')
    : new RegExp(String.raw`(?<![\w.])${escaped}(?![\w.[])`, 'g')
}
