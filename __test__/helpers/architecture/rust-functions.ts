import type { FunctionSpan } from './files.ts'
import { blankLiterals, closingIndex, headEnd, lineAt } from './rust-text.ts'

/** Every function with a body. */
export function rustFunctions(text: string): FunctionSpan[] {
  const code = blankLiterals(text)
  const spans: FunctionSpan[] = []
  for (const match of code.matchAll(/\bfn\s+(\w+)/g)) {
    const open = headEnd(code, match.index)
    if (code[open] !== '{') continue
    const line = lineAt(code, match.index)
    spans.push({
      name: match[1] as string,
      line,
      lines: lineAt(code, closingIndex(code, open) - 1) - line + 1,
    })
  }
  return spans
}
