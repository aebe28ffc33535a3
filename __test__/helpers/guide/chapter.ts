// A chapter of the guide as its reader follows it: files to write and commands to type, in order.
import { type Block, blocksOf } from '../documents/blocks.ts'

/** What a chapter has its reader do. */
export interface Step {
  /** The line of the chapter at which its block begins. */
  line: number
  kind: 'write' | 'type' | 'read'
  /** The file's name, of `write`. */
  name: string
  language: string
  code: string
  /** What the commands print, of `type`. */
  output: string | undefined
  /** What must be there, else the step is left out: names of `needs.ts`. */
  needs: readonly string[]
}

export interface Chapter {
  path: string
  steps: readonly Step[]
  /** What a reader could not follow. */
  problems: readonly string[]
}

/** A file's name in a comment, alone in the first line. */
const NAMES: Readonly<Record<string, RegExp>> = {
  ts: /^\/\/ ([\w./-]+\.[mc]?ts)$/,
  js: /^\/\/ ([\w./-]+\.[mc]?js)$/,
  c: /^\/\/ ([\w./-]+\.[ch])$/,
  'c++': /^\/\/ ([\w./-]+\.(?:cc|cpp|hpp))$/,
  rust: /^\/\/ ([\w./-]+\.rs)$/,
  zig: /^\/\/ ([\w./-]+\.zig)$/,
  asm: /^# ([\w./-]+\.[sS])$/,
  ld: /^\/\* ([\w./-]+\.ld) \*\/$/,
  sh: /^# ([\w./-]+\.sh)$/,
}

/** Languages that a chapter may have; json has no comments, so its files are named before. */
const LANGUAGES = new Set([...Object.keys(NAMES), 'json', 'text', 'text output'])

const FILE = /^<!-- file: ([\w./-]+) -->$/
const NEEDS = /^<!-- needs: ([\w, -]+) -->$/

/** What the lines right before a block say of it. */
interface Marks {
  file: string | undefined
  needs: readonly string[]
}

/** The marks before a line, which empty lines may stand among. */
function marksBefore(lines: readonly string[], line: number): Marks {
  const above = lines.slice(0, line - 1)
  const isMark = (text: string): boolean =>
    text.trim() === '' || FILE.test(text) || NEEDS.test(text)
  const marks = above.slice(above.findLastIndex((text) => !isMark(text)) + 1)
  const last = (pattern: RegExp): string | undefined =>
    marks.flatMap((text) => pattern.exec(text)?.[1] ?? []).at(-1)
  return { file: last(FILE), needs: last(NEEDS)?.split(/, */) ?? [] }
}

function stepOf(
  { info, code, line }: Block,
  { file, needs }: Marks,
  after: Block | undefined,
): Step {
  const [first = ''] = code.split('\n')
  const name = file ?? NAMES[info]?.exec(first)?.[1]
  const step = { line, name: '', language: info, code, output: undefined, needs }
  if (name !== undefined) return { ...step, kind: 'write', name }
  if (info !== 'sh') return { ...step, kind: 'read' }
  return {
    ...step,
    kind: 'type',
    output: after?.info === 'text output' ? after.code : undefined,
  }
}

/** What a chapter's text has to be followed. */
export function chapterOf(path: string, text: string): Chapter {
  const [lines, blocks] = [text.split('\n'), blocksOf(text)]
  const steps: Step[] = []
  const problems: string[] = []
  for (const [index, block] of blocks.entries()) {
    const at = `${path}:${block.line}: `
    const before = steps.at(-1)
    if (!LANGUAGES.has(block.info)) problems.push(`${at}no language '${block.info}'`)
    else if (block.info === 'text output') {
      const typed = before?.kind === 'type' && before.output === block.code
      if (!typed) problems.push(`${at}an output, and no commands right before it`)
    } else if (block.info !== 'text') {
      steps.push(stepOf(block, marksBefore(lines, block.line), blocks[index + 1]))
    }
    if (/^\/|(^|\/)\.\.(\/|$)/.test(steps.at(-1)?.name ?? ''))
      problems.push(`${at}a file outside of the folder`)
  }
  return { path, steps, problems }
}

/**
 * The chapter's TypeScript in folders, one for each state of its files: a file that is written
 * again stands in the next. Fragments with an `import` are files, too.
 */
export function modulesOf({ steps }: Chapter, folder: string): Map<string, [string, Step]> {
  const all = new Map<string, [string, Step]>()
  let files = new Map<string, Step>()
  let state = 0
  for (const step of steps.filter(({ language }) => language === 'ts')) {
    const isFile = step.kind === 'write'
    if (!isFile && !/^import /m.test(step.code)) continue
    if (isFile && files.has(step.name)) {
      state += 1
      files = new Map(files)
    }
    if (isFile) files.set(step.name, step)
    for (const [name, each] of files) all.set(`${folder}/${state}/${name}`, [each.code, each])
    if (!isFile) all.set(`${folder}/${state}/line-${step.line}.ts`, [step.code, step])
  }
  return all
}
