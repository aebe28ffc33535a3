import type { Named } from './named.ts'

/** What separates frames, and the count from them. */
const separators = /[;\s]/g

/** A line for each stack, as `flamegraph.pl` and its likes read them. */
export function folded({ stacks, vcpus }: Named): string {
  const lines = new Map<string, number>()
  for (const { names, vcpu, count } of stacks) {
    const all = vcpus.length > 1 ? [`vcpu${vcpu}`, ...names] : names
    const line = all.map((name) => name.replaceAll(separators, '_')).join(';')
    lines.set(line, (lines.get(line) ?? 0) + count)
  }
  return Array.from(lines, ([line, count]) => `${line} ${count}\n`).join('')
}
