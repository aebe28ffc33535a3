/** Numbers of 32 bits, the same in every run (Marsaglia's xorshift32). */
function randomWords(seed: number): () => number {
  let state = seed
  return () => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return state >>> 0
  }
}

/** The same, from 0 to 1. */
export function randomNumbers(seed: number): () => number {
  const next = randomWords(seed)
  return () => next() / 2 ** 32
}

/** The same, from 0 to one less than what is given. */
export function randomBelow(seed: number): (below: number) => number {
  const next = randomWords(seed)
  return (below) => next() % below
}
