/** From each node to what it names. */
export type Graph = Map<string, Set<string>>

/**
 * One message per cycle found by depth-first search, with the way round; empty if there is none.
 */
export function findCycles(graph: Graph): string[] {
  const done = new Set<string>()
  const way: string[] = []
  const cycles: string[] = []

  function visit(node: string): void {
    if (way.includes(node)) {
      cycles.push([...way.slice(way.indexOf(node)), node].join(' → '))
      return
    }
    if (done.has(node)) return
    way.push(node)
    for (const next of graph.get(node) ?? []) visit(next)
    way.pop()
    done.add(node)
  }

  for (const node of graph.keys()) visit(node)
  return cycles
}
