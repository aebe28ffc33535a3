/**
 * How many letters are to be put in, left out, replaced or swapped with their neighbours (Damerau
 * and Levenshtein).
 */
export function distance(from: string, to: string): number {
  const rows = [Array.from({ length: to.length + 1 }, (_, column) => column)]
  for (let row = 1; row <= from.length; row += 1) {
    const cells = [row]
    for (let column = 1; column <= to.length; column += 1) {
      const same = from[row - 1] === to[column - 1]
      const swapped =
        row > 1 &&
        column > 1 &&
        from[row - 1] === to[column - 2] &&
        from[row - 2] === to[column - 1]
      cells.push(
        Math.min(
          rows[row - 1]![column]! + 1,
          cells[column - 1]! + 1,
          rows[row - 1]![column - 1]! + (same ? 0 : 1),
          swapped ? rows[row - 2]![column - 2]! + 1 : Infinity,
        ),
      )
    }
    rows.push(cells)
  }
  return rows[from.length]![to.length]!
}

/** The word that was probably meant: the nearest one, at most a third of its letters away. */
export function nearest(word: string, words: readonly string[]): string | undefined {
  const lower = word.toLowerCase()
  const rated = words
    .map((each) => ({ each, most: Math.max(1, each.length / 3) }))
    // Also, a word of any length is never compared letter by letter.
    .filter(({ each, most }) => Math.abs(each.length - word.length) <= most)
    .map(({ each, most }) => ({ each, most, away: distance(lower, each.toLowerCase()) }))
  const [best] = rated.toSorted((a, b) => a.away - b.away)
  return best && best.away <= best.most ? best.each : undefined
}

/** For the end of a message: the word that was probably meant, if there is one. */
export function suggestion(word: string, words: readonly string[]): string {
  const found = nearest(word, words)
  return found === undefined ? '' : `; did you mean ${found}?`
}
