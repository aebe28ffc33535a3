import type { Command } from './command.ts'
import type { Beside, Verb } from './manager.ts'

const lineLength = 100

/** The list of commands, and of those that another package has. */
export function overview(commands: readonly Command[], packages: readonly Beside[]): string {
  const all = [...commands, ...packages.flatMap(({ verbs }) => verbs)]
  const width = Math.max(...all.map(({ name }) => name.length)) + 2
  const list = (rows: readonly Verb[]): string =>
    rows.map(({ name, summary }) => `  ${name.padEnd(width)}${summary}`).join('\n')
  return `Usage: vmexit <command> [options]

KVM virtual machines from the command line.

Commands:
${list(commands)}

${packages
  .map(({ about, name, verbs }) => `${about} (npm install ${name}):\n${list(verbs)}\n`)
  .join('\n')}
Options:
  --help     show this, or the help of a command
  --version  show the version

Exit codes: 0 fine, 1 host failure, 2 usage, 3 the guest ended abnormally, 4 the guest reset the
machine, 124 time-out; a write to a stop port returns the guest's own code.
`
}

/** All that there is to say of one command. */
export function helpOf({ name, usage, about, options, notes }: Command): string {
  const entries = Object.entries(options).map(
    ([option, { value, optional, about: text }]) =>
      [`--${option}${valueOf(value, optional !== undefined)}`, text] as const,
  )
  const all = [...entries, ['--help', 'show this'] as const]
  const width = Math.max(...all.map(([left]) => left.length)) + 4
  const lines = all.flatMap(([left, text]) => {
    const [first = '', ...rest] = wrap(text, lineLength - width)
    return [`  ${left}`.padEnd(width) + first, ...rest.map((line) => ' '.repeat(width) + line)]
  })
  return [
    `Usage: vmexit ${[name, usage].filter(Boolean).join(' ')}`,
    wrap(about, lineLength).join('\n'),
    `Options:\n${lines.join('\n')}`,
    ...(notes === undefined ? [] : [notes]),
  ]
    .join('\n\n')
    .concat('\n')
}

function valueOf(value: string | undefined, isOptional: boolean): string {
  if (value === undefined) return ''
  return isOptional ? `[=${value}]` : ` ${value}`
}

function wrap(text: string, width: number): string[] {
  const lines: string[] = []
  for (const word of text.split(' ')) {
    const last = lines.at(-1)
    if (last === undefined || last.length + 1 + word.length > width) lines.push(word)
    else lines[lines.length - 1] = `${last} ${word}`
  }
  return lines
}
