// Markdown as it is read: its prose, its spans of code, its blocks of code.

/** Something of a document, and where it stands. */
export interface Found {
  text: string
  line: number
}

const fence = /^ *```(.*)$/

/** Every line of a Markdown file, and the info string of the block of code that it stands in. */
export function linesOfMarkdown(text: string): (Found & { block: string | undefined })[] {
  let block: string | undefined
  return text.split('\n').map((line, index) => {
    const info = fence.exec(line)?.[1]
    const inside = block ?? info
    if (info !== undefined) block = block === undefined ? info : undefined
    return { text: info === undefined ? line : '', line: index + 1, block: inside }
  })
}

/** The prose of a Markdown file, every line where it stands; code and comments are blanked. */
export function proseOf(text: string): string {
  const lines = linesOfMarkdown(text).map((line) => (line.block === undefined ? line.text : ''))
  return lines.join('\n').replaceAll(/<!--[^]*?-->/g, (comment) => comment.replaceAll(/[^\n]/g, ''))
}

/** First cells of the tables that lead from another program to this one have names of the other. */
const withoutTheirs = (prose: string): string =>
  prose.replaceAll(/^\| there \| here \|\n(?:\|.*\n)+/gm, (table) =>
    table.replaceAll(/^\|[^|]*\|/gm, '| |'),
  )

/** The code between backquotes in prose, which may go on in the next line. */
export function spansOf(text: string): Found[] {
  const prose = withoutTheirs(proseOf(text))
  return [...prose.matchAll(/`((?:[^`\n]|\n(?!\s*\n))+)`/g)].map(({ 1: span = '', index }) => ({
    text: span.replaceAll(/\s*\n\s*/g, ' '),
    line: prose.slice(0, index).split('\n').length,
  }))
}

/** All code of a document's blocks, what programs print left out. */
export function codeOf(text: string): string {
  const lines = linesOfMarkdown(text)
  return lines
    .filter(({ block }) => block !== undefined && !block.startsWith('text'))
    .map((line) => line.text)
    .join('\n')
}
