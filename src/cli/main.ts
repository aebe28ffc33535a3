#!/usr/bin/env node
import { suggestion } from '../options/nearest.ts'
import { type Command, UsageError, exitCodes, packageVersion } from './command.ts'
import { commands } from './commands.ts'
import { helpOf, overview } from './help.ts'
import { handOver, isVerb, packages } from './manager.ts'
import { type Parsed, parseCommandLine } from './parse.ts'
import { watchReader } from './reader.ts'
import { reportError } from './report.ts'

async function main(args: readonly string[]): Promise<number> {
  const [name = '--help', ...rest] = args
  if (name === '--version' || name === '-V') return print(`${packageVersion()}\n`)
  let command: Command | undefined
  let parsed: Parsed | undefined
  try {
    if (name === '--help' || name === '-h') return print(overview(commands, packages))
    if (isVerb(name)) return await handOver(args)
    if (name === 'help') return await help(rest)
    command = find(name)
    parsed = parseCommandLine(command, rest)
    if (parsed.help) return print(helpOf(command))
    const run = await command.load()
    return await run(parsed.values, parsed.positionals)
  } catch (error) {
    const json = parsed ? parsed.values['json'] === true : rest.includes('--json')
    return reportError(error, { json, command, values: parsed?.values })
  }
}

async function help([name, extra]: readonly string[]): Promise<number> {
  if (name === undefined || name.startsWith('-')) return print(overview(commands, packages))
  if (extra !== undefined) return UsageError.raise(`help takes one command, got '${extra}' too`)
  return isVerb(name) ? await handOver([name, '--help']) : print(helpOf(find(name)))
}

function find(name: string): Command {
  const found = commands.find((command) => command.name === name)
  if (found) return found
  const isOption = name.startsWith('-')
  const names = isOption
    ? ['--help', '--version']
    : [...[...commands, ...packages.flatMap(({ verbs }) => verbs)].map((each) => each.name), 'help']
  const what = `unknown ${isOption ? 'option' : 'command'} '${name}'`
  return UsageError.raise(`${what}${suggestion(name, names)}`)
}

function print(text: string): number {
  process.stdout.write(text)
  return exitCodes.fine
}

watchReader()
process.exitCode = await main(process.argv.slice(2))
