/** A fenced block of Markdown. */
export interface Block {
  /** What follows the fence: the language. */
  info: string
  code: string
  /** The line of the fence. */
  line: number
}

const fence = /^```(.*)$/

/** Fenced blocks of Markdown text, in order. */
export function blocksOf(text: string): Block[] {
  const found: Block[] = []
  let open: Block | undefined
  for (const [index, line] of text.split('\n').entries()) {
    const info = fence.exec(line)?.[1]
    if (open && info === '') {
      found.push(open)
      open = undefined
    } else if (open) open.code += `${line}\n`
    else if (info !== undefined) open = { info, code: '', line: index + 1 }
  }
  return found
}
