import type { NamedStack } from './named.ts'

/**
 * A function, and how often it was found.
 *
 * @category Debugging
 */
export interface ProfileFunction {
  /**
   * Its symbol; an address without one; or, in parentheses, `(halted)`, `(waiting)` and what else
   * is no function.
   */
  readonly name: string
  /** Samples in which it was at work itself. */
  readonly self: number
  /** Samples in which it, or what it called, was at work. */
  readonly total: number
}

/** How many functions the text names. */
const mostLines = 20

/** All functions, those with the most work of their own first. */
export function functionsOf(stacks: readonly NamedStack[]): ProfileFunction[] {
  const counts = new Map<string, { self: number; total: number }>()
  for (const { names, count } of stacks) {
    for (const name of new Set(names)) {
      const entry = counts.get(name) ?? { self: 0, total: 0 }
      counts.set(name, entry)
      entry.total += count
      if (name === names.at(-1)) entry.self += count
    }
  }
  return Array.from(counts, ([name, count]) => ({ name, ...count })).toSorted(
    (a, b) => b.self - a.self || b.total - a.total,
  )
}

/** A few lines for people. */
export function summaryOf(
  functions: readonly ProfileFunction[],
  { samples, hz, durationMs, vcpus }: Record<'samples' | 'hz' | 'durationMs' | 'vcpus', number>,
): string {
  const of = vcpus > 1 ? ` of ${vcpus} vCPUs` : ''
  const head = `${samples} samples${of} at ${hz} Hz in ${(durationMs / 1000).toFixed(1)} s`
  if (samples === 0) return head
  const percent = (count: number): string => `${((100 * count) / samples).toFixed(1)}%`.padStart(6)
  const rows = functions
    .slice(0, mostLines)
    .map(({ name, self, total }) => `${percent(self)} ${percent(total)}  ${name}`)
  const more = functions.length - rows.length
  const rest = more > 0 ? [`               and ${more} more`] : []
  return [head, '  self  total  function', ...rows, ...rest].join('\n')
}
