import { parseArgs } from 'node:util'

import { suggestion } from '../options/nearest.ts'
import { type Command, UsageError, type Values } from './command.ts'

/** What follows the command on a command line. */
export interface Parsed {
  readonly values: Values
  readonly positionals: readonly string[]
  /** Whether it asks for the help instead. */
  readonly help: boolean
}

/** Takes a command line apart; what it does not know, it refuses with the nearest word. */
export function parseCommandLine(command: Command, args: readonly string[]): Parsed {
  const known = Object.entries(command.options).map(([name, option]) => {
    // One that may stand without its value takes none of the words after it.
    const takesNone = option.value === undefined || option.optional
    const type = takesNone ? ('boolean' as const) : ('string' as const)
    return [name, { type, multiple: option.multiple ?? false }] as const
  })
  const help = { type: 'boolean', short: 'h' } as const
  const [own, program] = command.isProgram ? split(command, args) : [args, []]
  const options = { ...Object.fromEntries(known), help }
  // Not strict: its messages are Node's own, which know of no nearest word.
  const parsed = parseArgs({
    args: joined(command, own),
    options,
    allowPositionals: true,
    strict: false,
    tokens: true,
  })
  for (const token of parsed.tokens) if (token.kind === 'option') check(command, token)
  const { values, positionals } = parsed
  const rest = [...positionals, ...program]
  return { values: values as Values, positionals: rest, help: values['help'] === true }
}

/** The options of a command, and what follows them: a program and what is given to it. */
function split({ options }: Command, args: readonly string[]): [string[], string[]] {
  for (let index = 0; index < args.length; index++) {
    const arg = args[index]!
    if (arg === '--') return [args.slice(0, index), args.slice(index + 1)]
    if (!arg.startsWith('-') || arg === '-') return [args.slice(0, index), args.slice(index)]
    const name = arg.slice(2)
    if (Object.hasOwn(options, name) && options[name]!.value !== undefined) index++
  }
  return [[...args], []]
}

/** The same, where the value of an option that could stand without is said to be one. */
function joined({ options }: Command, args: readonly string[]): string[] {
  const all: string[] = []
  for (const arg of args) {
    const before = all.at(-1) ?? ''
    const name = before.replace(/^--/, '')
    const known = before !== name && Object.hasOwn(options, name) ? options[name] : undefined
    if (known?.optional?.test(arg)) all[all.length - 1] = `${before}=${arg}`
    else all.push(arg)
  }
  return all
}

function check(
  { options }: Command,
  token: {
    name: string
    rawName: string
    value?: string | undefined
    inlineValue?: boolean | undefined
  },
): void {
  const { name, rawName, value, inlineValue } = token
  const isHelp = name === 'help'
  if (!isHelp && !Object.hasOwn(options, name)) {
    const names = [...Object.keys(options), 'help'].map((each) => `--${each}`)
    UsageError.raise(`unknown option '${rawName}'${suggestion(rawName, names)}`)
  }
  const wanted = isHelp ? undefined : options[name]?.value
  if (wanted === undefined && value !== undefined)
    UsageError.raise(`${rawName} takes no value, got '${value}'`)
  if (wanted === undefined || options[name]?.optional) return
  // `--load --entry 5`: the first has lost its value. `--load=--entry` says that it is meant.
  const isLost = !inlineValue && value !== undefined && value.startsWith('-') && value !== '-'
  if (value === undefined || isLost)
    UsageError.raise(`${rawName} needs a value: ${rawName} ${wanted}`)
}
