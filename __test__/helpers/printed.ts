// What programs print, beside what a text says of it.

/** Lines that say something. */
export function linesOf(text: string): string[] {
  return text.split('\n').flatMap((line) => (line.trim() === '' ? [] : [line.trimEnd()]))
}

/** Whether lines are as promised, where `…` stands for any text within a line. */
export function matches(printed: readonly string[], lines: readonly string[]): boolean {
  const patterns = lines.map((line) => line.split('…').map(escape).join('.*'))
  return (
    printed.length === lines.length &&
    patterns.every((pattern, index) => new RegExp(`^${pattern}$`).test(printed[index]!))
  )
}

const escape = (text: string): string => text.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&')
