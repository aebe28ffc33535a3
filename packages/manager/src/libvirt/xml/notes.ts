import { domainTree, type Described } from './domain.ts'
import { element, first, textOf } from './document/tree.ts'
import { writeXml } from './document/write.ts'

/** What people write about a machine, which means nothing to it. */
export type Note = 'description' | 'title'

/** A note of a machine's document. */
export function noteOf(machine: Described, note: Note): string | undefined {
  return textOf(first(domainTree(machine), note))
}

/** The document with another note, or without it. */
export function withNote(machine: Described, note: Note, text: string | undefined): string {
  const domain = domainTree(machine, { secure: true })
  const rest = domain.children.filter((child) => typeof child === 'string' || child.name !== note)
  const after = rest.findIndex((child) => typeof child !== 'string' && child.name === 'memory')
  const made = text === undefined ? [] : [element(note, {}, text)]
  return writeXml({ ...domain, children: rest.toSpliced(Math.max(0, after), 0, ...made) })
}
