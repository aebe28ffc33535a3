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

/** The same arrows between groups of nodes; a node of no group is left out. */
export function grouped(graph: Graph, groupOf: (node: string) => string | undefined): Graph {
  const groups: Graph = new Map()
  for (const [node, targets] of graph) {
    const from = groupOf(node)
    if (from === undefined) continue
    const known = groups.get(from) ?? new Set()
    for (const to of [...targets].map(groupOf)) if (to !== undefined && to !== from) known.add(to)
    groups.set(from, known)
  }
  return groups
}

/** How many nodes the longest way has; a circle counts as one step of it. */
export function layersOf(graph: Graph): number {
  const depths = new Map<string, number>()
  function depth(node: string): number {
    const known = depths.get(node)
    if (known !== undefined) return known
    depths.set(node, 0)
    const below = [...(graph.get(node) ?? [])].map(depth)
    depths.set(node, 1 + Math.max(0, ...below))
    return depths.get(node) as number
  }
  return Math.max(0, ...[...graph.keys()].map(depth))
}
