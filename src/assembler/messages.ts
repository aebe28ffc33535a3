/** More than a reader works through before assembling again. */
const MOST_LINES = 20

/** What `as` or `ld` complains of, by lines of the text, to follow a colon. */
export function complaints(said: string): string {
  const lines = said.split('\n').flatMap(complaint)
  if (lines.length <= 1) return lines.map((line) => ` ${line}`).join('')
  const shown = lines.slice(0, MOST_LINES)
  const more = lines.length - shown.length
  return [...shown, ...(more > 0 ? [`and ${more} more`] : [])].map((line) => `\n  ${line}`).join('')
}

/**
 * One of its lines. `as` writes `{standard input}:3: Error: …`, and `ld` the same after the folder
 * that it ran in, with the place in the section. What only says where we are is left out.
 */
function complaint(line: string): string[] {
  const text = line.trim()
  const isTitle = /Assembler messages:$|: in function `.*':$|treating warnings as errors$/.test(
    text,
  )
  if (text === '' || isTitle) return []
  const [, number, what] =
    /\{standard input\}:(\d+):\s*(?:\(.*?\):\s*)?(?:(?:Fatal error|Error|Warning|Info):\s*)?(.*)$/.exec(
      text,
    ) ?? []
  if (number !== undefined) return [`line ${number}: ${what}`]
  return [text.replace(/^(?:\S*\/)?(?:as|ld(?:\.bfd)?): |\/proc\/self\/fd\/\d+:\s*/g, '')]
}
