import { toJobError } from '../job/error.ts'
import { helpOf, overview } from './help.ts'
import { tell } from './output.ts'
import { parseVerb } from './parse.ts'
import { type Verb, exitCodes, usage } from './verb.ts'
import { verbs as own } from './verbs.ts'

/** For the list of commands and the completion of `vmexit`. */
export const verbs = [
  {
    name: 'fleet',
    summary: 'run jobs on this host, or on all that share a queue',
    argument: { name: 'COMMAND', words: own.map(({ name }) => name) },
    options: Object.assign({}, ...own.map(({ options }) => options)) as Verb['options'],
  },
]

/** Runs `vmexit fleet …`, and returns the exit code. */
export async function main([, name = '--help', ...rest]: readonly string[]): Promise<number> {
  try {
    if (name === '--help' || name === '-h') return show(overview(own))
    const verb = own.find((each) => each.name === name)
    if (!verb)
      return usage(
        `unknown command 'fleet ${name}'; they are ${own.map((each) => each.name).join(', ')}`,
      )
    const { help, ...context } = parseVerb(verb, rest)
    if (help) return show(helpOf(verb))
    const run = await verb.load()
    return await run(context)
  } catch (error) {
    return report(error, rest.includes('--json'))
  }
}

function show(text: string): number {
  process.stdout.write(text)
  return exitCodes.fine
}

const usageCodes = ['ERR_INVALID_OPTION', 'ERR_LIMIT']

/** Says what failed, and returns the exit code for it. */
function report(error: unknown, json: boolean): number {
  const { code, message } = toJobError(error)
  if (json) process.stdout.write(`${JSON.stringify({ error: { code, message } })}\n`)
  const isUsage = usageCodes.includes(code)
  tell(isUsage ? `${message}; see vmexit fleet --help` : `${code}: ${message}`)
  if (isUsage) return exitCodes.usage
  return code === 'ERR_TIMEOUT' ? exitCodes.timeout : exitCodes.failure
}
