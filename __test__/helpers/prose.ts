// How prose is held: the width of Markdown and comments, and the words that are not used.
import type { SourceFile } from './architecture/files.ts'
import { linesOfMarkdown } from './documents/text.ts'

const COLUMNS = 100

/** A line of a comment, or one that ends with a comment. A marker inside of a string is none. */
function isComment(line: string): boolean {
  const [before = ''] = line.split(/(?<=^|\s)\/\//)
  const inString = ["'", '"', '`'].some((quote) => before.split(quote).length % 2 === 0)
  return /^\s*(\/\*|\*)/.test(line) || (before !== line && !inString)
}

/** Lines of Markdown and lines with a comment that are too wide. URLs and printed text may be. */
export function wideLines({ path, text }: SourceFile): string[] {
  const lines = path.endsWith('.md')
    ? linesOfMarkdown(text).filter(({ block }) => block !== 'text output')
    : text
        .split('\n')
        .map((line, index) => ({ text: line, line: index + 1 }))
        .filter((line) => isComment(line.text))
  return lines
    .filter((line) => !line.text.includes('://') && [...line.text].length > COLUMNS)
    .map((line) => `${path}:${line.line}: ${[...line.text].length} columns, at most ${COLUMNS}`)
}

/** How often prose, that of Markdown and of doc comments, uses a word. */
export function uses(word: string, { path, text }: SourceFile): number {
  const isProse = path.endsWith('.md') ? () => true : (line: string) => isDocComment.test(line)
  const lines = text.split('\n').filter(isProse)
  return lines.join('\n').match(new RegExp(`\\b${word}\\b`, 'gi'))?.length ?? 0
}

const isDocComment = /^\s*(\/\/\/|\/\/!|\/\*\*|\*)/
