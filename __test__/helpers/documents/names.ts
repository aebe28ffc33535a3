// Names that documents give to things, between backquotes, and where the tree has them.
import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'

import type { SourceFile } from '../architecture/files.ts'
import { codeOf, spansOf } from './text.ts'

/** What a name in Markdown may refer to. */
export interface Tree {
  /** Every file and folder. */
  paths: ReadonlySet<string>
  /** Every identifier of the code, comments left out, by file. */
  words: ReadonlyMap<string, ReadonlySet<string>>
  /** Every word with a hyphen, and every short string, in the code. */
  texts: ReadonlySet<string>
  /** The scripts of package.json. */
  scripts: ReadonlySet<string>
}

const CODE = /\.(rs|ts|mts|cts|mjs|cjs|js|c|h|S|toml|yml|json)$|Makefile$/

/** Code with its comments blanked; a marker inside of a string takes the line's rest along. */
const withoutComments = (text: string): string =>
  text.replaceAll(/\/\*[^]*?\*\/|(^|\s)(\/\/|#\s).*$/gm, ' ')

const wordsOf = (code: string): Set<string> => new Set(code.match(/\w+/g))

const dashed = /[a-z][a-z0-9]*(?:-[a-z0-9]+)+/g
const textsOf = (code: string): string[] => [
  ...(code.match(dashed) ?? []),
  ...[...code.matchAll(/'([^'\n]{1,30})'|"([^"\n]{1,30})"/g)].map(([, a, b]) => a ?? b ?? ''),
]

const parents = (path: string): string[] =>
  path === '.' ? [] : [path, `${path}/`, ...parents(dirname(path))]

export function treeOf(files: readonly SourceFile[]): Tree {
  const manifest = files.find(({ path }) => path === 'package.json')
  const { scripts = {} } = JSON.parse(manifest?.text ?? '{}') as { scripts?: object }
  const code = files
    .filter(({ path }) => CODE.test(path))
    .map(({ path, text }) => ({ path, text: withoutComments(text) }))
  return {
    paths: new Set(files.flatMap(({ path }) => parents(path))),
    words: new Map(code.map(({ path, text }) => [path, wordsOf(text)])),
    texts: new Set(code.flatMap(({ text }) => textsOf(text))),
    scripts: new Set(Object.keys(scripts)),
  }
}

/** `a/{b,c}.rs` is two. */
function expand(name: string): string[] {
  const [, before, inner, after] = /^(.*)\{(.+)\}(.*)$/.exec(name) ?? []
  return inner === undefined ? [name] : inner.split(',').map((part) => before + part + after)
}

const ending =
  /\.(rs|ts|mjs|cjs|md|spec\.ts|c|h|S|ld|json|toml|yml|sh|txt|svg|png|html|py|pl|bin|img|sock)$/
const isPath = (name: string): boolean =>
  /^[\w.{}-][\w./{},-]*$/.test(name) && (name.endsWith('/') || ending.test(name))
const isFolder = /^[a-z_.]+\/[\w./{},-]+$/
/** Made by the tools, or the reader's. */
const isElsewhere = /^(\.cache|dist|node_modules|target|main|guest|image|kernel|report)\b/

/** A path from the root, from the document's folder, or the end of one; or a name in the code. */
function pathExists(name: string, document: string, { paths, texts }: Tree): boolean {
  const near = join(dirname(document), name)
  if (paths.has(name) || paths.has(near) || existsSync(name) || texts.has(name)) return true
  return [...paths].some((path) => path.endsWith(`/${name}`))
}

const hasWord = (word: string, { words }: Tree): boolean =>
  [...words.values()].some((known) => known.has(word))

/** `Type::name` stands in one file, or the name in one that is called as the type. */
function rustPathExists(name: string, { words }: Tree): boolean {
  const [owner = '', member = ''] = name.split('::').slice(-2)
  return [...words].some(
    ([path, known]) => path.endsWith('.rs') && known.has(owner) && known.has(member),
  )
}

/** Names of ours have two cases or an underscore; a plain word may be anything's. */
const isName = /^(?=.*([a-z][A-Z]|[A-Za-z]_[A-Za-z])|[A-Z][a-z]+$)\w+$/
const isDashed = new RegExp(`^${dashed.source}$`)

/** Programs whose words are their own. */
const foreign = ['zig', 'rustc', 'cc', 'ld', 'qemu-system-x86_64', 'gdb']

/** A script of package.json, which follows `npm` or `npm run`. */
function scriptExists([verb, name]: readonly string[], { scripts }: Tree): boolean {
  const script = verb === 'run' ? name : verb
  return !/^[a-z:]+$/.test(script ?? '') || verb === 'install' || scripts.has(script!)
}

/** Words of code that is more than one name: `{ file, readOnly }`, `struct kvm_run`. */
function unknownWord(code: string, tree: Tree): boolean {
  const words = code.replaceAll(/'[^']*'|"[^"]*"/g, '').match(/(?<![\w.-])\w+(?![\w-]|\.\w)/g) ?? []
  return words.some(
    (word) => isName.test(word) && !/^[A-Z][a-z]+$/.test(word) && !hasWord(word, tree),
  )
}

/** Whether nothing in the tree is called so. */
function isUnknown(name: string, document: string, tree: Tree): boolean {
  const [first = '', ...rest] = name.split(/\s+/)
  if (first === 'npm') return !scriptExists(rest, tree)
  if (foreign.includes(first)) return false
  if (rest.length > 0) return unknownWord(name, tree)
  const [, quoted] = /^'([a-z-]+)'$/.exec(name) ?? []
  if (quoted !== undefined) return !tree.texts.has(quoted)
  if (isDashed.test(name)) return !tree.texts.has(name)
  if (/^(\w+::)+\w+$/.test(name)) return !rustPathExists(name, tree)
  const [, called] = /^(?:[\w.]*\.)?(\w+)\(.*\)$/.exec(name) ?? []
  if (called !== undefined) return !hasWord(called, tree)
  if (isElsewhere.test(name) && !name.startsWith('guest/')) return false
  if (isPath(name) || isFolder.test(name)) {
    return expand(name).some((path) => !pathExists(path, document, tree))
  }
  return name.split('.').some((word) => isName.test(word) && !hasWord(word, tree))
}

/** The tree, with what a document's own code makes: it is compiled and run. */
function withOwn(text: string, tree: Tree): Tree {
  const code = codeOf(text)
  const files = code.match(/[\w./-]+\.\w+/g) ?? []
  return {
    ...tree,
    words: new Map([...tree.words, ['', wordsOf(code)]]),
    texts: new Set([...tree.texts, ...textsOf(code), ...files]),
  }
}

/** Names between backquotes in a Markdown file that nothing in the tree has. */
export function unknownNames(
  { path, text }: SourceFile,
  tree: Tree,
  allowed: readonly string[],
): string[] {
  const own = withOwn(text, tree)
  return spansOf(text)
    .filter((span) => !allowed.includes(span.text) && isUnknown(span.text, path, own))
    .map((span) => `${path}:${span.line}: \`${span.text}\` is not in the tree`)
}
