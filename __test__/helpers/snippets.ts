// Code in Markdown files and in doc comments, and what it promises to print.
import { type SourceFile, repositoryFiles } from './architecture/files.ts'
import { blocksOf } from './documents/blocks.ts'
import { linesOf } from './printed.ts'

export { linesOf, matches } from './printed.ts'

/** A block of code. */
export interface Snippet {
  /** The file and line at which it begins. */
  place: string
  language: string
  code: string
  /** The output block that follows it. */
  output: string | undefined
  /** The assembly block right before it. */
  assembly: string | undefined
}

/** The code blocks of Markdown text. A block marked `text output` belongs to the one before it. */
function snippets({ path, text }: SourceFile): Snippet[] {
  const all = blocksOf(text)
  return all.flatMap(({ info: language, code, line }, index) => {
    if (language.startsWith('text')) return []
    const [before, after] = [all[index - 1], all[index + 1]]
    const output = after?.info === 'text output' ? after.code : undefined
    const assembly = before?.info === 'asm' ? before.code : undefined
    return [{ place: `${path}:${line}`, language, code, output, assembly }]
  })
}

/** The doc comments of a source file as Markdown, every line where it stands. */
function docComments({ path, text }: SourceFile): SourceFile {
  const isDoc = /^ *(\/\*\*|\*)/
  const inner = text.split('\n').map((line) => (isDoc.test(line) ? line : ''))
  const markdown = inner.map((line) => line.replace(/^ *(\/\*\*|\*\/|\* ?)/, '')).join('\n')
  return { path, text: markdown }
}

/**
 * What a snippet promises: its output block, or the comments at the end of its `console.log(…)`
 * lines.
 */
export function promised({ code, output }: Snippet): string[] {
  const comments = code.split('\n').flatMap((line) => {
    const [, comment] = /console\.log\(.*\) \/\/ (.*)$/.exec(line) ?? []
    return comment === undefined ? [] : [comment]
  })
  return output === undefined ? comments : linesOf(output)
}

/** The modes in which a snippet's machines start. */
export function modesOf(code: string): [mode: string, privilege: string][] {
  const privilege = code.includes("privilege: 'user'") ? 'user' : 'kernel'
  return [...code.matchAll(/mode: '(\w+)'/g)].map(([, mode]) => [mode!, privilege])
}

/** As a doc comment's reader has it in mind. */
const preamble = [
  "import { Snapshot, VirtualMachine, VmError, fromDefinition, guests } from 'vmexit'",
  "import type { Device, DeviceContext, DiskDevice, MachineDefinition, Route, WriteBatch } from 'vmexit'",
].join('; ')

/** A complete module. */
export function toModule({ code }: Snippet): string {
  return /^import /m.test(code) ? code : `${preamble}\n${code}`
}

const isMarkdown = ({ path }: SourceFile): boolean => path.endsWith('.md')
const isApi = ({ path }: SourceFile): boolean => /^src\/(?!(cli|bench)\/).*\.ts$/.test(path)

/** Every Markdown file of the repository. */
const markdown: readonly SourceFile[] = repositoryFiles().filter(isMarkdown)

/** Whether a page's blocks are files, which `cookbook.spec.ts` runs. */
const isCookbook = ({ path }: SourceFile): boolean => path.startsWith('docs/cookbook/')

/** Whether a block is a step of the guide, which `guide.spec.ts` follows as a whole. */
export const isGuide = ({ place }: Snippet): boolean => place.startsWith('docs/guide/')

/** Every block of code in Markdown, but for the cookbook's, and in the doc comments of the API. */
export const allSnippets: readonly Snippet[] = [
  ...markdown.filter((file) => !isCookbook(file)).flatMap(snippets),
  ...repositoryFiles().filter(isApi).map(docComments).flatMap(snippets),
]
