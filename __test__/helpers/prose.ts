// How prose is held: the width of Markdown and comments, and the names that Markdown gives to
// things.
import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'

import type { SourceFile } from './architecture/files.ts'

const COLUMNS = 100
const fence = /^ *```(.*)$/

interface Line {
  text: string
  number: number
  /** The info string of the block of code that the line stands in. */
  block: string | undefined
}

/** The lines of a Markdown file, fences left out. */
function markdownLines(text: string): Line[] {
  let block: string | undefined
  return text.split('\n').flatMap((line, index) => {
    const info = fence.exec(line)?.[1]
    if (info === undefined) return [{ text: line, number: index + 1, block }]
    block = block === undefined ? info : undefined
    return []
  })
}

/** A line of a comment, or one that ends with a comment. A marker inside of a string is none. */
function isComment(line: string): boolean {
  const [before = ''] = line.split(/(?<=^|\s)\/\//)
  const inString = ["'", '"', '`'].some((quote) => before.split(quote).length % 2 === 0)
  return /^\s*(\/\*|\*)/.test(line) || (before !== line && !inString)
}

/** Lines of Markdown and lines with a comment that are too wide. URLs and printed text may be. */
export function wideLines({ path, text }: SourceFile): string[] {
  const lines: Line[] = path.endsWith('.md')
    ? markdownLines(text).filter(({ block }) => block !== 'text output')
    : text
        .split('\n')
        .map((line, index) => ({ text: line, number: index + 1, block: undefined }))
        .filter((line) => isComment(line.text))
  return lines
    .filter((line) => !line.text.includes('://') && [...line.text].length > COLUMNS)
    .map((line) => `${path}:${line.number}: ${[...line.text].length} columns, at most ${COLUMNS}`)
}

/** How often prose, that of Markdown and of doc comments, uses a word. */
export function uses(word: string, { path, text }: SourceFile): number {
  const isProse = path.endsWith('.md') ? () => true : (line: string) => isDocComment.test(line)
  const lines = text.split('\n').filter(isProse)
  return lines.join('\n').match(new RegExp(`\\b${word}\\b`, 'gi'))?.length ?? 0
}

const isDocComment = /^\s*(\/\/\/|\/\/!|\/\*\*|\*)/

/** What a name in Markdown may refer to. */
export interface Tree {
  /** Every file and folder. */
  paths: ReadonlySet<string>
  /** Every identifier of the code, comments left out, by file. */
  words: ReadonlyMap<string, ReadonlySet<string>>
  /** The scripts of package.json. */
  scripts: ReadonlySet<string>
}

const CODE = /\.(rs|ts|mts|cts|mjs|cjs|js|c|h|S|toml|yml|json)$|Makefile$/

/** Code with its comments blanked; a marker inside of a string takes the line's rest along. */
const withoutComments = (text: string): string =>
  text.replaceAll(/\/\*[^]*?\*\/|(^|\s)(\/\/|#\s).*$/gm, ' ')

const parents = (path: string): string[] =>
  path === '.' ? [] : [path, `${path}/`, ...parents(dirname(path))]

export function treeOf(files: readonly SourceFile[]): Tree {
  const manifest = files.find(({ path }) => path === 'package.json')
  const { scripts = {} } = JSON.parse(manifest?.text ?? '{}') as { scripts?: object }
  const code = files.filter(({ path }) => CODE.test(path))
  return {
    paths: new Set(files.flatMap(({ path }) => parents(path))),
    words: new Map(
      code.map(({ path, text }) => [path, new Set(withoutComments(text).match(/\w+/g))]),
    ),
    scripts: new Set(Object.keys(scripts)),
  }
}

/** `a/{b,c}.rs` is two. */
function expand(name: string): string[] {
  const [, before, inner, after] = /^(.*)\{(.+)\}(.*)$/.exec(name) ?? []
  return inner === undefined ? [name] : inner.split(',').map((part) => before + part + after)
}

const isPath = /^[\w.{}-][\w./{},-]*(\/|\.(rs|ts|mjs|cjs|md|spec\.ts|c|h|S|ld|json|toml|yml))$/
const isFolder = /^[a-z_.]+\/[\w./{},-]+$/
/** Made by the tools, or the reader's. */
const isElsewhere = /^(\.cache|dist|node_modules|target|main|guest|image|kernel|report)\b/

/** A path from the root, from the document's folder, or the end of one. */
function pathExists(name: string, document: string, { paths }: Tree): boolean {
  const near = join(dirname(document), name)
  if (paths.has(name) || paths.has(near) || existsSync(name)) return true
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
const isFlag = /^--[a-z][\w-]*/

/** What is wrong with a name, or nothing. */
function problem(name: string, document: string, tree: Tree): boolean {
  const [first = '', ...rest] = name.split(/\s+/)
  if (first === 'npm') {
    const script = rest[0] === 'run' ? rest[1] : rest[0]
    return /^[a-z:]+$/.test(script ?? '') && rest[0] !== 'install' && !tree.scripts.has(script!)
  }
  if (isFlag.test(first)) return !hasWord(first.slice(2).split(/[-=:]/)[0]!, tree)
  if (rest.length > 0) return false
  if (/^(\w+::)+\w+$/.test(name)) return !rustPathExists(name, tree)
  const [, called] = /^(?:[\w.]*\.)?(\w+)\(.*\)$/.exec(name) ?? []
  if (called !== undefined) return !hasWord(called, tree)
  if (isElsewhere.test(name) && !name.startsWith('guest/')) return false
  if (isPath.test(name) || isFolder.test(name)) {
    return expand(name).some((path) => !pathExists(path, document, tree))
  }
  return name.split('.').some((word) => isName.test(word) && !hasWord(word, tree))
}

/** Whether the document's own code has a name, or is the file of that name. */
const hasOwn = (name: string, code: string): boolean =>
  name
    .replace(/\(.*\)$/, '')
    .split('.')
    .every((part) => new RegExp(`(^|\\W)${part.replaceAll(/\W/g, '\\$&')}(\\W|$)`).test(code))

/** Names between backquotes in a Markdown file that neither the tree nor its own code has. */
export function unknownNames(
  { path, text }: SourceFile,
  tree: Tree,
  allowed: readonly string[],
): string[] {
  const lines = markdownLines(text)
  const isCode = ({ block }: Line): boolean => !(block ?? 'text').startsWith('text')
  const code = lines
    .filter(isCode)
    .map((line) => line.text)
    .join('\n')
  return lines
    .filter(({ block }) => block === undefined)
    .flatMap(({ text: line, number }) =>
      [...line.matchAll(/`([^`]+)`/g)]
        .map(([, name = '']) => name)
        .filter((name) => !allowed.includes(name) && !hasOwn(name, code))
        .filter((name) => problem(name, path, tree))
        .map((name) => `${path}:${number}: \`${name}\` is not in the tree`),
    )
}
