import type { Verb } from './verb.ts'

const lineLength = 100

/** All that there is to say of one verb. */
export function helpOf({ name, usage, about, options, notes }: Verb): string {
  const rows = [...Object.entries(options), ['help', { about: 'show this' }] as const]
  const entries = rows.map(([option, found]) => {
    const value = 'value' in found && found.value !== undefined ? ` ${found.value}` : ''
    return [`--${option}${value}`, found.about] as const
  })
  const width = Math.max(...entries.map(([left]) => left.length)) + 4
  const lines = entries.flatMap(([left, text]) => {
    const [first = '', ...rest] = wrap(text, lineLength - width)
    return [`  ${left}`.padEnd(width) + first, ...rest.map((line) => ' '.repeat(width) + line)]
  })
  return [
    `Usage: vmexit fleet ${name} ${usage}`,
    wrap(about, lineLength).join('\n'),
    `Options:\n${lines.join('\n')}`,
    ...(notes === undefined ? [] : [notes]),
  ]
    .join('\n\n')
    .concat('\n')
}

/** The list of verbs. */
export function overview(verbs: readonly Verb[]): string {
  const width = Math.max(...verbs.map(({ name }) => name.length)) + 2
  const lines = verbs.map(({ name, summary }) => `  ${name.padEnd(width)}${summary}`)
  return `Usage: vmexit fleet <command> [options]

Runs jobs on this host, or on all that share a queue.

Commands:
${lines.join('\n')}

vmexit fleet <command> --help says more.
`
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
