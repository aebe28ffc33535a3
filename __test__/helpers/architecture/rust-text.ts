// Rust source with what is not code blanked out: every index and line stays where it was.

const spaces = (text: string): string => text.replace(/[^\n]/g, ' ')

/** A comment, a string or a character at the start of the rest; a lifetime is none of these. */
const NOT_CODE =
  /\/\/[^\n]*|\/\*|b?c?r(#*)"[^]*?"\1|[bc]?"(?:\\[^]|[^"\\])*"|b?'(?:\\(?:u\{[^}]*\}|x..|.)|[^'\\\n])'/y

function blockCommentEnd(text: string, start: number): number {
  const edge = /\/\*|\*\//g
  edge.lastIndex = start
  let depth = 0
  for (let match = edge.exec(text); match !== null; match = edge.exec(text)) {
    depth += match[0] === '/*' ? 1 : -1
    if (depth === 0) return edge.lastIndex
  }
  return text.length
}

/** Blanks comments and the contents of literals. */
export function blankLiterals(text: string): string {
  let result = ''
  let index = 0
  while (index < text.length) {
    NOT_CODE.lastIndex = index
    const inWord = /\w/.test(text[index - 1] ?? '')
    const match = inWord && /\w/.test(text[index] ?? '') ? null : NOT_CODE.exec(text)
    if (match === null) {
      result += text[index]
      index += 1
      continue
    }
    const end = match[0] === '/*' ? blockCommentEnd(text, index) : NOT_CODE.lastIndex
    result += spaces(text.slice(index, end))
    index = end
  }
  return result
}

/** The index after the bracket that closes the one at `open`. */
export function closingIndex(code: string, open: number): number {
  let depth = 0
  for (let index = open; index < code.length; index += 1) {
    if ('([{'.includes(code[index] as string)) depth += 1
    if (')]}'.includes(code[index] as string)) depth -= 1
    if (depth === 0) return index + 1
  }
  return code.length
}

/** The index of the `{` or `;` that ends an item's head, brackets in between skipped. */
export function headEnd(code: string, start: number): number {
  let index = start
  while (index < code.length && code[index] !== '{' && code[index] !== ';') {
    index = code[index] === '(' || code[index] === '[' ? closingIndex(code, index) : index + 1
  }
  return index
}

const TEST_ATTRIBUTE = /#\[cfg\((?:test|all\(test\b[^\]]*)\)\]/g

/** Blanks every item under `#[cfg(test)]` in text without literals. */
export function blankTests(code: string): string {
  let result = code
  for (const match of code.matchAll(TEST_ATTRIBUTE)) {
    const head = headEnd(code, match.index + match[0].length)
    const end = code[head] === '{' ? closingIndex(code, head) : head + 1
    result = result.slice(0, match.index) + spaces(code.slice(match.index, end)) + result.slice(end)
  }
  return result
}

/** 1-based. */
export const lineAt = (text: string, index: number): number =>
  text.slice(0, index).split('\n').length
