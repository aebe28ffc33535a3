// The groups of the reference, in the order in which they are shown. `@category` says which one a symbol belongs to.
import { ReferenceReflection, ReflectionKind } from 'typedoc'
import { once } from './once.mjs'

/** By name, with what they hold. */
const GROUPS = new Map([
  ['Machine', 'A machine, what it starts with, and its runs'],
  ['Definitions', 'A machine as JSON'],
  ['Routes', 'Who answers a port or an address'],
  ['Devices', 'Screen, keyboard, serial port, disks and network'],
  ['Exits', 'What stops a guest, and what a handler is asked'],
  ['Memory', 'Guest memory, by physical and by linear address'],
  ['Registers', 'General, special, debug and floating-point registers'],
  ['Interrupts', 'Lines, and what waits in a vCPU'],
  ['Results', 'How a run ended, and what was counted'],
  ['Snapshots', 'A machine as a value'],
  ['Faults', 'What went wrong: faults of the guest, errors of the host'],
  ['Debugging', 'Breakpoints, steps, traces, profiles, disassembly, gdb'],
  ['Assembling', 'Machine code from text'],
  ['Process', 'Native libraries and Linux programs'],
  ['Manager', 'Machines that outlive their program'],
  ['Fleet', 'The same runs on many hosts'],
])

/** The group of an exported symbol, as its comment says. */
function groupOf(symbol) {
  const comments = [symbol, ...(symbol.signatures ?? [])].map(({ comment }) => comment)
  const tag = comments.map((comment) => comment?.getTag('@category')).find(Boolean)
  return tag?.content
    .map(({ text }) => text)
    .join('')
    .trim()
}

/** The symbols that the modules of a project export, each once. */
export function symbolsOf(project) {
  return project.children
    .filter((child) => child.kindOf(ReflectionKind.Module))
    .flatMap((module) => module.children ?? [])
    .filter((symbol) => !(symbol instanceof ReferenceReflection))
}

/** What one begins with comes first. */
const KINDS = ['Class', 'Function', 'Variable', 'Interface', 'TypeAlias'].map(
  (name) => ReflectionKind[name],
)

/** Symbols by group, in the groups' order. Every page of the reference shows them. */
export const grouped = once((project) => {
  const symbols = symbolsOf(project).toSorted(
    (a, b) => KINDS.indexOf(a.kind) - KINDS.indexOf(b.kind) || a.name.localeCompare(b.name),
  )
  return [...GROUPS].flatMap(([name, summary]) => {
    const members = symbols.filter((symbol) => groups.get(symbol) === name)
    return members.length === 0 ? [] : [{ name, summary, members }]
  })
})

/** Kept, as the comments lose their tags when TypeDoc groups by them. */
const groups = new WeakMap()

/** Notes the group of every symbol; one line for each that has none of the list. */
export function noteGroups(project) {
  return symbolsOf(project).flatMap((symbol) => {
    const name = groupOf(symbol)
    groups.set(symbol, name)
    return GROUPS.has(name) ? [] : [`${symbol.getFullName()}: @category ${name ?? 'is missing'}`]
  })
}

export const notedGroup = (symbol) => groups.get(symbol)
