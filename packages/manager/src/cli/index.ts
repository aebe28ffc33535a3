import { suggestion } from '../definition/show.ts'
import { Connection } from './connection.ts'
import { helpOf, overview } from './help.ts'
import { parseVerb } from './parse.ts'
import { reportError } from './report.ts'
import { UsageError, type Verb, exitCodes } from './verb.ts'
import { verbs } from './verbs.ts'

export { verbs }

/** Runs a verb, which is the first of the words, and returns the exit code. */
export async function main(args: readonly string[]): Promise<number> {
  const [name = '--help', ...rest] = args
  let verb: Verb | undefined
  let connection: Connection | undefined
  try {
    if (name === '--help' || name === '-h') return print(overview(verbs))
    verb = find(name)
    const { values, words, help } = parseVerb(verb, rest)
    if (help) return print(helpOf(verb))
    const run = await verb.load()
    connection = new Connection(values)
    return await run({ values, words, client: connection.open })
  } catch (error) {
    return reportError(error, verb, rest.includes('--json'))
  } finally {
    await connection?.close()
  }
}

function find(name: string): Verb {
  const found = verbs.find((verb) => verb.name === name)
  if (found) return found
  const names = verbs.map((verb) => verb.name)
  throw new UsageError(`unknown command '${name}'${suggestion(name, names)}`)
}

function print(text: string): number {
  process.stdout.write(text)
  return exitCodes.fine
}
