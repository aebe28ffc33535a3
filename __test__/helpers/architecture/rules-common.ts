// Rules over every file. Each takes files and returns one message per violation, with file, line and the rule.
import { dirname } from 'node:path/posix'
import type { FunctionSpan, SourceFile } from './files.ts'
import { rustFunctions } from './rust-functions.ts'
import { factsOf } from './typescript-source.ts'

const FILE_LINES = 400
/** A test or a benchmark reads from top to bottom, one case after another. */
const TEST_FILE_LINES = 600
const FUNCTION_LINES = 70
const FOLDER_FILES = 15

const CODE = /\.(rs|ts|mjs|c|h|S)$/
const TEST_CODE = /^(__test__|bench)\/|^crates\/[^/]+\/(tests|benches)\//

/** The brackets keep this file from naming what it looks for. */
const LEFTOVERS = /\b(TOD[O]|FIXM[E]|XX[X])\b/

export const isTypeScript = ({ path }: SourceFile): boolean => /\.(ts|mjs)$/.test(path)
export const isRust = ({ path }: SourceFile): boolean => path.endsWith('.rs')

export function fileBudgets(files: SourceFile[]): string[] {
  return files
    .filter(({ path }) => CODE.test(path))
    .map(({ path, text }) => {
      const limit = TEST_CODE.test(path) ? TEST_FILE_LINES : FILE_LINES
      const lines = text.replace(/\n$/, '').split('\n').length
      return lines > limit ? `${path}:${lines}: file of ${lines} lines, the budget is ${limit}` : ''
    })
    .filter((message) => message !== '')
}

/** Folders that are yet to be divided. */
const UNDIVIDED = ['crates/vmm/src', 'scripts/svm']

/** Tests, guests and examples are lists, not rooms. */
const LISTS = /^(__test__|guest|examples)\/|^crates\/[^/]+\/(tests|benches)\//

export function folderBudgets(files: SourceFile[]): string[] {
  const counts = new Map<string, number>()
  for (const { path } of files.filter((file) => CODE.test(file.path) && !LISTS.test(file.path))) {
    counts.set(dirname(path), (counts.get(dirname(path)) ?? 0) + 1)
  }
  return [...counts]
    .filter(([folder, count]) => count > FOLDER_FILES && !UNDIVIDED.includes(folder))
    .map(([folder, count]) => `${folder}: ${count} files of code, the budget is ${FOLDER_FILES}`)
}

function functionsOf(file: SourceFile): FunctionSpan[] {
  if (isRust(file)) return rustFunctions(file.text)
  return isTypeScript(file) ? factsOf(file).functions : []
}

export function functionBudgets(files: SourceFile[]): string[] {
  return files.flatMap((file) =>
    functionsOf(file)
      .filter(({ lines }) => lines > FUNCTION_LINES)
      .map(({ name, line, lines }) => {
        return `${file.path}:${line}: ${name} has ${lines} lines, the budget is ${FUNCTION_LINES}`
      }),
  )
}

export function leftovers(files: SourceFile[]): string[] {
  return files.flatMap(({ path, text }) =>
    text.split('\n').flatMap((line, index) => {
      const mark = LEFTOVERS.exec(line)?.[0]
      return mark === undefined ? [] : [`${path}:${index + 1}: leftover ${mark}`]
    }),
  )
}

export function runtimeDependencies(files: SourceFile[]): string[] {
  const manifest = files.find(({ path }) => path === 'package.json')
  const { dependencies = {} } = JSON.parse(manifest?.text ?? '{}') as { dependencies?: object }
  return Object.keys(dependencies).map((name) => `package.json: runtime dependency ${name}`)
}
