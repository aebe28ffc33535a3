import { parseArgs } from 'node:util'

import { type Context, type Verb, usage } from './verb.ts'

/** Takes a command line apart. */
export function parseVerb(verb: Verb, args: readonly string[]): Context & { help: boolean } {
  const known = Object.entries(verb.options).map(
    ([name, { value }]) => [name, { type: value === undefined ? 'boolean' : 'string' }] as const,
  )
  const { tokens, values, positionals } = parseArgs({
    args: [...args],
    options: { ...Object.fromEntries(known), help: { type: 'boolean', short: 'h' } },
    allowPositionals: true,
    // Its own messages would be Node's.
    strict: false,
    tokens: true,
  })
  for (const token of tokens) {
    if (token.kind !== 'option' || token.name === 'help') continue
    const option = Object.hasOwn(verb.options, token.name) ? verb.options[token.name] : undefined
    if (!option) {
      const names = [...Object.keys(verb.options), 'help'].map((name) => `--${name}`)
      usage(`unknown option '${token.rawName}'; they are ${names.join(', ')}`)
    }
    checkValue(token, option?.value)
  }
  const help = values['help'] === true
  const [least, most] = verb.words
  if (!help && positionals.length < least) usage(`fleet ${verb.name} needs ${verb.usage}`)
  if (!help && positionals.length > most)
    usage(`fleet ${verb.name} takes ${most} words, got '${positionals[most]}' too`)
  return { values: values as Context['values'], words: positionals, help }
}

interface Token {
  readonly rawName: string
  readonly value?: string | undefined
  readonly inlineValue?: boolean | undefined
}

function checkValue({ rawName, value, inlineValue }: Token, wanted: string | undefined): void {
  if (wanted === undefined) {
    if (value !== undefined) usage(`${rawName} takes no value, got '${value}'`)
    return
  }
  // `--store --json`: the first has lost its value. `--store=--json` says that it is meant.
  const isLost = !inlineValue && value !== undefined && value.startsWith('-') && value !== '-'
  if (value === undefined || isLost) usage(`${rawName} needs a value: ${rawName} ${wanted}`)
}
