import { parseArgs } from 'node:util'

import { suggestion } from '../definition/show.ts'
import { UsageError, type Values, type Verb } from './verb.ts'

/** What follows the verb on a command line. */
export interface Parsed {
  readonly values: Values
  readonly words: readonly string[]
  /** Whether it asks for the help instead. */
  readonly help: boolean
}

/** Takes a command line apart; what it does not know, it refuses with the nearest word. */
export function parseVerb(verb: Verb, args: readonly string[]): Parsed {
  const known = Object.entries(verb.options).map(([name, { value, short }]) => {
    const type = value === undefined ? ('boolean' as const) : ('string' as const)
    return [name, { type, ...(short !== undefined && { short }) }] as const
  })
  const help = { type: 'boolean', short: 'h' } as const
  // Not strict: its messages are Node's own, which know of no nearest word.
  const { tokens, values, positionals } = parseArgs({
    args: [...args],
    options: { ...Object.fromEntries(known), help },
    allowPositionals: true,
    strict: false,
    tokens: true,
  })
  for (const token of tokens) if (token.kind === 'option') check(verb, token)
  const asksHelp = values['help'] === true
  if (!asksHelp) checkWords(verb, positionals)
  return { values: values as Values, words: positionals, help: asksHelp }
}

interface Token {
  readonly name: string
  readonly rawName: string
  readonly value?: string | undefined
  readonly inlineValue?: boolean | undefined
}

function check({ options }: Verb, { name, rawName, value, inlineValue }: Token): void {
  const isHelp = name === 'help'
  if (!isHelp && !Object.hasOwn(options, name)) {
    const names = [...Object.keys(options), 'help'].map((each) => `--${each}`)
    throw new UsageError(`unknown option '${rawName}'${suggestion(rawName, names)}`)
  }
  const { value: wanted, words } = isHelp ? {} : (options[name] as Verb['options'][string])
  if (wanted === undefined) {
    if (value === undefined) return
    throw new UsageError(`${rawName} takes no value, got '${value}'`)
  }
  // `--socket --json`: the first has lost its value. `--socket=--json` says that it is meant.
  const isLost = !inlineValue && value !== undefined && value.startsWith('-') && value !== '-'
  if (value === undefined || isLost)
    throw new UsageError(`${rawName} needs a value: ${rawName} ${wanted}`)
  if (words && !words.includes(value))
    throw new UsageError(`${rawName} must be one of ${words.join(', ')}, got '${value}'`)
}

function checkWords({ name, argument, words: [least, most] }: Verb, words: readonly string[]) {
  const what = argument?.name ?? 'words'
  if (words.length < least) throw new UsageError(`${name} needs ${what}`)
  const extra = words[most]
  if (extra !== undefined)
    throw new UsageError(
      most === 0
        ? `${name} takes no words, got '${extra}'`
        : `${name} takes ${most} of them at most, got '${extra}' too`,
    )
  const first = words[0]
  const known = argument?.words
  if (known && first !== undefined && !known.includes(first))
    throw new UsageError(
      `${name} must be one of ${known.join(', ')}, got '${first}'${suggestion(first, known)}`,
    )
}
