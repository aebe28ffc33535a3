// Definitions of machines that documents show, as blocks of their own or within a shell script.
import type { SourceFile } from '../architecture/files.ts'
import { linesOfMarkdown } from './text.ts'

/** A definition, and the line at which its block or script begins. */
interface Shown {
  line: number
  value: unknown
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** Those of a document; of a project file each machine. */
export function definitionsOf({ text }: SourceFile): Shown[] {
  const lines = linesOfMarkdown(text)
  const found: Shown[] = []
  for (const [index, { text: first, block, line }] of lines.entries()) {
    if (block === undefined || first !== '{') continue
    const length = lines.slice(index).findIndex((each) => each.text === '}')
    const body = lines.slice(index, index + length + 1).map((each) => each.text)
    const value = parsed(body.join('\n'))
    if (!isObject(value)) continue
    const machines = isObject(value['machines']) ? Object.values(value['machines']) : []
    const all = 'payload' in value ? [value] : machines
    found.push(...all.map((each) => ({ line, value: each })))
  }
  return found
}
