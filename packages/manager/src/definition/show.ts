/** What a message shows of a text at most. */
const shownLetters = 60

/** A value as messages show it: short, on one line, its type visible. */
export function show(value: unknown): string {
  if (typeof value === 'string')
    return JSON.stringify(value.length > shownLetters ? `${value.slice(0, shownLetters)}…` : value)
  if (typeof value === 'bigint') return `${value}n`
  if (typeof value === 'function') return 'a function'
  if (typeof value === 'symbol') return 'a symbol'
  if (Array.isArray(value)) return `an array of ${value.length}`
  if (typeof value === 'object' && value !== null) return 'an object'
  return Object.is(value, -0) ? '-0' : String(value)
}

/** For the end of a message: the word that was probably meant, if there is one. */
export function suggestion(word: string, words: readonly string[]): string {
  const rated = words
    .map((each) => ({ each, most: Math.max(1, each.length / 3) }))
    // Also, a word of any length is never compared letter by letter.
    .filter(({ each, most }) => Math.abs(each.length - word.length) <= most)
    .map(({ each, most }) => ({ each, most, away: distance(lower(word), lower(each)) }))
    .filter(({ away, most }) => away <= most)
    .toSorted((a, b) => a.away - b.away)
  const [best] = rated
  return best === undefined ? '' : `; did you mean ${best.each}?`
}

function lower(word: string): string {
  return word.toLowerCase()
}

/**
 * How many letters are to be put in, left out, replaced or swapped with their neighbours (Damerau
 * and Levenshtein).
 */
function distance(from: string, to: string): number {
  let [before, above] = [[] as number[], Array.from({ length: to.length + 1 }, (_, at) => at)]
  for (let row = 1; row <= from.length; row += 1) {
    const cells = [row]
    for (let at = 1; at <= to.length; at += 1) {
      const replaced = above[at - 1]! + (from[row - 1] === to[at - 1] ? 0 : 1)
      const isSwap = from[row - 1] === to[at - 2] && from[row - 2] === to[at - 1]
      const swapped = row > 1 && at > 1 && isSwap ? before[at - 2]! + 1 : Infinity
      cells.push(Math.min(above[at]! + 1, cells[at - 1]! + 1, replaced, swapped))
    }
    ;[before, above] = [above, cells]
  }
  return above[to.length]!
}
