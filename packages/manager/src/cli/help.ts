import type { Verb } from './verb.ts'

const lineLength = 100

/** All that there is to say of one verb. */
export function helpOf({ name, usage, about, options, notes }: Verb): string {
  const entries = Object.entries(options).map(([option, { value, short, about: text }]) => {
    const names = `${short === undefined ? '' : `-${short}, `}--${option}`
    return [`${names}${value === undefined ? '' : ` ${value}`}`, text] as const
  })
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

/** The list of verbs. */
export function overview(verbs: readonly Verb[]): string {
  const width = Math.max(...verbs.map(({ name }) => name.length)) + 2
  const lines = verbs.map(({ name, summary }) => `  ${name.padEnd(width)}${summary}`)
  return `Machines that outlive their program:\n${lines.join('\n')}\n`
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
