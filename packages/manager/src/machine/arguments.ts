import { parseArgs } from 'node:util'

import { isName } from '../definition/index.ts'
import { ManagerError } from '../supervisor/errors.ts'

/** What the process is for. */
export interface Arguments {
  /** Where sockets are. */
  readonly runtime: string
  /** Where console text is kept. */
  readonly state: string
  /** The one machine that it has. */
  readonly name?: string
  /** The group whose machines it has. */
  readonly group?: string
}

/** Reads the command line; `ERR_INVALID_OPTION`. */
export function readArguments(args: readonly string[]): Arguments {
  const text = { type: 'string' } as const
  const options = { runtime: text, state: text, name: text, group: text }
  const { runtime, state, name, group } = parse(args, options)
  if (runtime === undefined || state === undefined)
    return wrong('--runtime and --state must be given')
  if ((name === undefined) === (group === undefined))
    return wrong('--name or --group must be given')
  if (!isName((name ?? group)!)) return wrong(`${name ?? group} is no name`)
  return { runtime, state, ...(name === undefined ? { group: group! } : { name }) }
}

function parse<T extends Record<string, { type: 'string' }>>(
  args: readonly string[],
  options: T,
): Partial<Record<keyof T, string>> {
  try {
    return parseArgs({ args: [...args], options }).values as Partial<Record<keyof T, string>>
  } catch (error) {
    return wrong((error as Error).message)
  }
}

function wrong(message: string): never {
  throw new ManagerError('ERR_INVALID_OPTION', message)
}
