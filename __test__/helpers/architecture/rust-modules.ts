// Which module of a crate names which, read from `use` items and `crate::`, `self::`, `super::` and
// `child::` paths.
import type { SourceFile } from './files.ts'
import type { Graph } from './graph.ts'
import { blankLiterals, blankTests } from './rust-text.ts'

interface Module {
  path: string[]
  code: string
  /** Names that `pub use` lifts out of a child, with where they come from. */
  exports: Map<string, string[]>
}

type Modules = Map<string, Module>

const key = (path: string[]): string => ['crate', ...path].join('::')

function modulePath(file: string): string[] {
  const parts = file
    .replace(/^.*?src\//, '')
    .replace(/\.rs$/, '')
    .split('/')
  return ['lib', 'main', 'mod'].includes(parts.at(-1) as string) ? parts.slice(0, -1) : parts
}

/** `a::{b, c::{self, d as e}}` as pairs of path and the name it gets here. */
export function expandUse(tree: string): [string[], string][] {
  const text = tree.trim()
  const open = text.indexOf('{')
  if (open >= 0) {
    const prefix = text.slice(0, open)
    const inner = text.slice(open + 1, text.lastIndexOf('}'))
    return splitTopLevel(inner).flatMap((part) => expandUse(prefix + part))
  }
  const [path = '', alias] = text.split(/\s+as\s+/)
  const segments = path
    .split('::')
    .map((part) => part.trim())
    .filter((part) => part !== '')
  if (segments.at(-1) === 'self' && segments.length > 1) segments.pop()
  return segments.length === 0 ? [] : [[segments, alias ?? (segments.at(-1) as string)]]
}

function splitTopLevel(list: string): string[] {
  const parts = ['']
  let depth = 0
  for (const char of list) {
    if (char === '{') depth += 1
    if (char === '}') depth -= 1
    if (char === ',' && depth === 0) parts.push('')
    else parts[parts.length - 1] += char
  }
  return parts.map((part) => part.trim()).filter((part) => part !== '')
}

/**
 * The path from the crate's root, or undefined if it starts at another crate or at a name of this
 * module.
 */
function absolute(segments: string[], from: string[], modules: Modules): string[] | undefined {
  let [base, rest] = [from, segments]
  if (segments[0] === 'crate') [base, rest] = [[], segments.slice(1)]
  else if (segments[0] === 'self') rest = segments.slice(1)
  else if (segments[0] !== 'super') {
    return modules.has(key([...from, segments[0] as string])) ? [...from, ...segments] : undefined
  }
  while (rest[0] === 'super') [base, rest] = [base.slice(0, -1), rest.slice(1)]
  return [...base, ...rest]
}

/** The module that holds what `path` names, re-exports resolved. */
function holder(path: string[], modules: Modules, hops = 0): string {
  let length = 0
  while (length < path.length && modules.has(key(path.slice(0, length + 1)))) length += 1
  const found = path.slice(0, length)
  const target = modules.get(key(found))?.exports.get(path[length] ?? '')
  return target !== undefined && hops < 8
    ? holder([...target, ...path.slice(length + 1)], modules, hops + 1)
    : key(found)
}

const USE = /\b(pub(?:\([^)]*\))?\s+)?use\s+([^;]+);/g
const PATH = /(?<![\w:])(?:::)?\w+(?:\s*::\s*\w+)+/g

/** Files that an item `#[cfg(test)] mod name;` declares. */
function isTestModule(path: string[], modules: Modules): boolean {
  return path.some((name, depth) => {
    const parent = modules.get(key(path.slice(0, depth)))
    return parent !== undefined && declaresTest(parent.code, name)
  })
}

const declaresTest = (code: string, name: string): boolean =>
  new RegExp(`#\\[cfg\\(test\\)\\]\\s*(?:pub(?:\\([^)]*\\))?\\s+)?mod\\s+${name}\\s*;`).test(code)

function parse(files: SourceFile[]): Modules {
  const entries = files.map(({ path, text }): [string, Module] => {
    const module = { path: modulePath(path), code: blankLiterals(text), exports: new Map() }
    return [key(module.path), module]
  })
  const all: Modules = new Map(entries)
  const kept = entries.filter(([, { path }]) => !isTestModule(path, all))
  for (const [, module] of kept) module.code = blankTests(module.code)
  return new Map(kept)
}

/** Fills `module.exports` and returns the paths that it uses for itself. */
function uses(module: Module, modules: Modules): string[][] {
  const named: string[][] = []
  for (const [, visibility, tree] of module.code.matchAll(USE)) {
    for (const [segments, name] of expandUse(tree as string)) {
      const path = absolute(segments, module.path, modules)
      if (path === undefined) continue
      const below = key(path).startsWith(`${key(module.path)}::`)
      if (visibility !== undefined && below) module.exports.set(name, path)
      else named.push(path)
    }
  }
  for (const [text] of module.code.replace(USE, '').matchAll(PATH)) {
    const path = absolute(
      text.split('::').map((part) => part.trim()),
      module.path,
      modules,
    )
    if (path !== undefined) named.push(path)
  }
  return named
}

/** The arrows between the modules of one crate, tests left out. */
export function moduleGraph(files: SourceFile[]): Graph {
  const modules = parse(files)
  const named = [...modules.values()].map((module) => uses(module, modules))
  const graph: Graph = new Map()
  for (const [index, module] of [...modules.values()].entries()) {
    const targets = (named[index] as string[][]).map((path) => holder(path, modules))
    graph.set(key(module.path), new Set(targets.filter((to) => to !== key(module.path))))
  }
  return graph
}
