// Which module of a crate names which, read from text as rustfmt leaves it. A method that stands
// outside the file of its type is the one thing that a caller reaches without naming where it is;
// the arrow then goes to that file.
import type { SourceFile } from './files.ts'
import type { Graph } from './graph.ts'

const NOT_CODE =
  /\/\/.*|\/\*[\s\S]*?\*\/|\br"[^"]*"|\br#"[\s\S]*?"#|"(?:\\[\s\S]|[^"\\])*"|'(?:\\[^']+|\\'|[^'\\])'/g
const TEST_ITEM = /^( *)#\[cfg\(test\)\]\n(?: *#.*\n)*(?:.*(?:;|\}|,)$|[\s\S]*?\n\1[})].*$)/gm
const USE = /\b(pub(?:\([^)]*\))? )?use ([^;]+);/g
const PATH = /(?<![\w:])\w+(?:::\w+)+/g
const TYPE = /^(?:pub(?:\([^)]*\))? )?(?:struct|enum|union|trait) (\w+)/gm
const INHERENT = /^impl(?:<[^{]*?>)? (\w+)(?:<[^{]*>)?(?:\s+where[^{]*)? \{\n([\s\S]*?)^\}/gm
const METHOD = /^ {4}(?:pub(?:\([^)]*\))? )?(?:const |unsafe |async )*fn (\w+)/gm
const CALL = /(?:\.|::)(\w+)(?=\(|::<)/g

interface Module {
  path: string[]
  code: string
  /** What `pub use` lifts out of a child, with where it comes from. */
  exports: Map<string, string[]>
}

type Modules = Map<string, Module>

const key = (path: string[]): string => ['crate', ...path].join('::')
const all = (code: string, pattern: RegExp): string[] =>
  [...code.matchAll(pattern)].map(([, name = '']) => name)

/** Without comments and literals, and without what only tests see. */
export const shippedCode = (text: string): string =>
  text.replace(NOT_CODE, ' ').replace(TEST_ITEM, '')

/** `a::{b, c::{self, d as e}}` as pairs of path and the name it gets here. */
export function expandUse(tree: string): [string[], string][] {
  const [, prefix = '', inner] = /^([^{]*)\{([\s\S]*)\}$/.exec(tree.trim()) ?? []
  if (inner !== undefined) {
    // A comma within braces parts nothing here.
    const parts = inner.match(/[^,{}]+(?:\{(?:[^{}]|\{(?:[^{}]|\{[^{}]*\})*\})*\})?/g) ?? []
    return parts.filter((part) => part.trim()).flatMap((part) => expandUse(prefix + part.trim()))
  }
  const [path = '', alias] = tree.trim().split(' as ')
  const segments = path.split('::').filter(Boolean)
  if (segments.at(-1) === 'self' && segments.length > 1) segments.pop()
  return segments.length === 0 ? [] : [[segments, alias ?? (segments.at(-1) as string)]]
}

/**
 * The path from the crate's root, or undefined if it starts at another crate or at a name of this
 * module.
 */
function absolute(segments: string[], from: string[], modules: Modules): string[] | undefined {
  const [first = '', ...rest] = segments
  if (first === 'crate') return rest
  if (first === 'self') return [...from, ...rest]
  if (first === 'super') {
    const up = from.slice(0, -1)
    return rest[0] === 'super' ? absolute(rest, up, modules) : [...up, ...rest]
  }
  return modules.has(key([...from, first])) ? [...from, ...segments] : undefined
}

/** The module that holds what `path` names, once re-exports are followed. */
function holder(path: string[], modules: Modules, hops = 0): string {
  let length = 0
  while (length < path.length && modules.has(key(path.slice(0, length + 1)))) length += 1
  const target = modules.get(key(path.slice(0, length)))?.exports.get(path[length] ?? '')
  return target !== undefined && hops < 8
    ? holder([...target, ...path.slice(length + 1)], modules, hops + 1)
    : key(path.slice(0, length))
}

function parse(files: SourceFile[]): Modules {
  const modules = files.map(({ path, text }): Module => {
    const parts = path.replace(/^.*?src\/|(\/?\b(lib|main|mod))?\.rs$/g, '').split('/')
    return { path: parts.filter(Boolean), code: shippedCode(text), exports: new Map() }
  })
  // A file whose parent no longer declares it, once tests are away, is of tests only.
  const declared = ({ path }: Module): boolean =>
    path.every((name, depth) => {
      const parent = modules.find((other) => key(other.path) === key(path.slice(0, depth)))
      return parent === undefined || new RegExp(`\\bmod ${name};`).test(parent.code)
    })
  return new Map(modules.filter(declared).map((module) => [key(module.path), module]))
}

/** Fills `module.exports` and returns the paths that it uses for itself. */
function uses(module: Module, modules: Modules): string[][] {
  const named: string[][] = []
  for (const [, visibility, tree = ''] of module.code.matchAll(USE)) {
    for (const [segments, name] of expandUse(tree)) {
      const path = absolute(segments, module.path, modules)
      if (path === undefined) continue
      const below = key(path).startsWith(`${key(module.path)}::`)
      if (visibility !== undefined && below) module.exports.set(name, path)
      else named.push(path)
    }
  }
  const paths = module.code.replace(USE, '').match(PATH) ?? []
  return [
    ...named,
    ...paths.map((text) => absolute(text.split('::'), module.path, modules)),
  ].filter((path) => path !== undefined)
}

interface Stray {
  type: string
  method: string
  module: string
}

/** Methods that stand outside the file of their type. */
function strayMethods(modules: Modules): Stray[] {
  return [...modules].flatMap(([module, { code }]) => {
    const own = all(code, TYPE)
    return [...code.matchAll(INHERENT)]
      .filter(([, type = '']) => !own.includes(type))
      .flatMap(([, type = '', body = '']) =>
        all(body, METHOD).map((method) => ({ type, method, module })),
      )
  })
}

/** The arrows between the modules of one crate, tests left out. */
export function moduleGraph(files: SourceFile[]): Graph {
  const modules = parse(files)
  const named = new Map([...modules].map(([name, module]) => [name, uses(module, modules)]))
  const strays = strayMethods(modules)
  return new Map(
    [...modules].map(([name, { code }]) => {
      const calls = new Set(all(code, CALL))
      const called = strays.filter(
        ({ type, method }) => calls.has(method) && new RegExp(`\\b${type}\\b`).test(code),
      )
      const targets = [
        ...(named.get(name) ?? []).map((path) => holder(path, modules)),
        ...called.map(({ module }) => module),
      ]
      return [name, new Set(targets.filter((target) => target !== name))]
    }),
  )
}
