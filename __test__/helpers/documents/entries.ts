// Entries of a page that is looked things up in: a heading, what it means, causes, and what to do.

const labels = ['**Causes.**', '**What to do.**']

/** The entries below headings of the third level that are a name, by that name. */
export function entriesOf(text: string): Map<string, string> {
  const parts = text.split(/^(?=#{2,3} )/m)
  return new Map(
    parts.flatMap((part) => {
      const [heading, name] = /^### `([\w-]+)`\n/.exec(part) ?? []
      return heading === undefined ? [] : [[name!, part.slice(heading.length).trim()] as const]
    }),
  )
}

/** What entries lack. */
export function incomplete(entries: ReadonlyMap<string, string>): string[] {
  return [...entries].flatMap(([name, text]) => [
    ...(text.replace(/^>.*\n+/, '').startsWith('-')
      ? [`${name}: it does not say what it means`]
      : []),
    ...labels.filter((label) => !text.includes(label)).map((label) => `${name}: no ${label}`),
  ])
}
