// Command lines in documents: their commands, and the options that these take.
import { verbs as fleetVerbs } from '../../../packages/fleet/src/cli/verbs.ts'
import { verbs as managerVerbs } from '../../../packages/manager/src/cli/verbs.ts'
import { commands } from '../../../src/cli/commands.ts'
import type { SourceFile } from '../architecture/files.ts'
import { linesOfMarkdown, spansOf } from './text.ts'

interface Described {
  name: string
  options?: Readonly<Record<string, unknown>>
}

const always = ['help', 'version']
const named = ({ name, options = {} }: Described): [string, string[]] => [
  name,
  [...Object.keys(options), ...always],
]

const ofFleet = new Map(fleetVerbs.map(named))
const ours = new Map([...commands, ...managerVerbs].map(named))
ours.set('fleet', [...always, ...ofFleet.values()].flat())
ours.set('help', always)
const everywhere = [...ours.values()].flat()

/** The flags of a command line, without their values. */
const flagsOf = (line: string): string[] =>
  [...line.matchAll(/(?<=^|\s|\[)--([a-z][\w-]*)/g)].map(([, flag = '']) => flag)

/** What is wrong with a command line of ours. */
function wrongWith(words: readonly string[], line: string): string[] {
  const [command = '', verb = ''] = words
  const known = command === 'fleet' ? ofFleet.get(verb) : undefined
  const options = known ?? ours.get(command)
  if (options === undefined) return [`no command ${command}`]
  return flagsOf(line).flatMap((flag) =>
    options.includes(flag) ? [] : [`${words.slice(0, known ? 2 : 1).join(' ')} has no --${flag}`],
  )
}

/** A command line of ours: after a prompt, by `npx` or not. What follows a pipe is another's. */
function problems(text: string): string[] {
  const [line = ''] = text.replace(/^[$>] /, '').split(/ [#|] | #| && /)
  const words = line.split(/\s+/)
  if (words[0] === 'npx') words.shift()
  if (words[0] !== 'vmexit') return []
  const [command = ''] = words.slice(1)
  if (!/^[a-z]+$/.test(command)) return flagsOf(line).filter((flag) => !always.includes(flag))
  return wrongWith(words.slice(1), line)
}

/** Of flags alone, or of the words that follow `vmexit`. */
function spanProblems(text: string, others: readonly string[]): string[] {
  const [first = ''] = text.split(/\s+/)
  if (text.startsWith('-')) {
    const flags = flagsOf(text).filter((flag) => !others.includes(`--${flag}`))
    return flags.filter((flag) => !everywhere.includes(flag)).map((flag) => `no --${flag}`)
  }
  return ours.has(first) ? wrongWith(text.split(/\s+/), text) : problems(text)
}

/**
 * Commands and options that documents name and that no command line has. `others` are flags of
 * other programs, which stand alone between backquotes.
 */
export function unknownFlags({ path, text }: SourceFile, others: readonly string[]): string[] {
  const inSpans = spansOf(text).flatMap((span) =>
    spanProblems(span.text, others).map((problem) => `${path}:${span.line}: ${problem}`),
  )
  const inBlocks = linesOfMarkdown(text)
    .filter(({ block }) => block !== undefined)
    .flatMap((line) => problems(line.text).map((problem) => `${path}:${line.line}: ${problem}`))
  return [...inSpans, ...inBlocks]
}
