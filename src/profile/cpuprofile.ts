import { marks } from './names.ts'
import type { Named, NamedStack } from './named.ts'

/** A node of the tree, as the DevTools protocol has it (`Profiler.ProfileNode`). */
interface Node {
  readonly id: number
  readonly callFrame: {
    readonly functionName: string
    readonly scriptId: string
    readonly url: string
    readonly lineNumber: number
    readonly columnNumber: number
  }
  hitCount: number
  readonly children: number[]
}

/** What the tools take for time without work, right below the root. */
const idle = '(idle)'

/** The tree of calls. */
class Tree {
  readonly nodes: Node[] = []
  readonly #places = new Map<string, Node>()
  readonly #root = this.#add('(root)')

  /** The node of a stack. */
  of(names: readonly string[]): Node {
    let node = this.#root
    for (const name of names) {
      const place = `${node.id} ${name}`
      let child = this.#places.get(place)
      if (!child) {
        child = this.#add(name)
        this.#places.set(place, child)
        node.children.push(child.id)
      }
      node = child
    }
    return node
  }

  #add(functionName: string): Node {
    const callFrame = { functionName, scriptId: '0', url: '', lineNumber: -1, columnNumber: -1 }
    const node = { id: this.nodes.length + 1, callFrame, hitCount: 0, children: [] }
    this.nodes.push(node)
    return node
  }
}

/**
 * For the DevTools of Chrome and for VS Code (`Profiler.Profile`). They know one thread: the vCPUs
 * that were sampled at one time follow each other there, and each has its part of the time.
 */
export function cpuprofile({ hz, vcpus, stacks, moments }: Named): string {
  const tree = new Tree()
  const several = vcpus.length > 1
  const nodes = stacks.map((stack) => {
    const node = tree.of(namesOf(stack, several))
    node.hitCount += stack.count
    return node.id
  })
  const part = 1e6 / hz / Math.max(1, vcpus.length)
  const times = moments.map(({ atNs }, index) => {
    let before = 0
    while (before < vcpus.length && moments[index - before - 1]?.atNs === atNs) before++
    return Math.round(atNs / 1000 + before * part)
  })
  return JSON.stringify({
    nodes: tree.nodes,
    startTime: 0,
    endTime: Math.round((times.at(-1) ?? 0) + part),
    samples: moments.map(({ stack }) => nodes[stack]),
    timeDeltas: times.map((time, index) => time - (times[index - 1] ?? 0)),
  })
}

function namesOf({ activity, names, vcpu }: NamedStack, several: boolean): readonly string[] {
  if (activity === 'halted') return [idle]
  return several && names[0] !== marks.unlisted ? [`(vCPU ${vcpu})`, ...names] : names
}
