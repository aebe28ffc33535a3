#!/usr/bin/env node
import { parseArgs } from 'node:util'

import { reportError } from './report.ts'
import { type Command, UsageError, exitCodes, packageVersion } from './command.ts'

/** Loaded when asked for, so that `--help` works where the binding does not. */
const commands: Record<string, () => Promise<Command>> = {
  hello: async () => (await import('./hello.ts')).hello,
  run: async () => (await import('./run.ts')).run,
  boot: async () => (await import('./boot.ts')).boot,
  doctor: async () => (await import('./doctor.ts')).doctor,
  bench: async () => (await import('./bench.ts')).bench,
}

const overview = `Usage: vmexit <command> [options]

KVM virtual machines from the command line.

Commands:
  hello    run the embedded hello guest in every CPU mode
  run      run an image of your own
  boot     boot a kernel, with your terminal as its serial port
  doctor   say what this machine can do
  bench    measure what an exit costs, beside raw C

Options:
  --help     show this, or the help of a command
  --version  show the version

Exit codes: 0 fine, 1 host failure, 2 usage, 3 the guest ended abnormally,
124 time-out; \`run\` with an exit port returns the guest's own code.
`

async function main(args: readonly string[]): Promise<number> {
  const [name = '--help', ...rest] = args
  if (name === '--help' || name === '-h' || name === 'help') return print(overview)
  if (name === '--version' || name === '-V') return print(`${packageVersion()}\n`)
  const load = Object.hasOwn(commands, name) ? commands[name] : undefined
  const json = rest.includes('--json')
  try {
    if (!load) return reportError(new UsageError(`unknown command '${name}'`), json)
    const command = await load()
    const parsed = parse(command, rest)
    return parsed ? await command.run(parsed.values, parsed.positionals) : print(command.help)
  } catch (error) {
    return reportError(error, json)
  }
}

function parse(command: Command, args: string[]): ReturnType<typeof parseArgs> | undefined {
  const options = { ...command.options, help: { type: 'boolean', short: 'h' } as const }
  try {
    const parsed = parseArgs({ args, options, allowPositionals: true, strict: true })
    return parsed.values['help'] ? undefined : parsed
  } catch (error) {
    return UsageError.raise((error as Error).message)
  }
}

function print(text: string): number {
  process.stdout.write(text)
  return 0
}

// A reader that went away (`| head`) is no failure of ours.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0)
  process.stderr.write(`vmexit: cannot write to stdout: ${error.message}\n`)
  process.exit(exitCodes.hostFailure)
})
process.exitCode = await main(process.argv.slice(2))
