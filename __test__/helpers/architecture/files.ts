import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

/** A file of the repository; `path` is relative to its root. */
export interface SourceFile {
  path: string
  text: string
}

const ROOT = fileURLToPath(new URL('../../../', import.meta.url))
const TEXT = /(\.(rs|ts|mts|cts|mjs|cjs|js|c|h|S|s|ld|toml|json|md|yml|sh)|^\.ci\/run)$/
/** Not ours, or written by tools. */
const LEFT_OUT = /^(\.git|\.cache|node_modules|target|dist|index\.d\.ts$|package-lock\.json$)/
const BUILT = /\/(node_modules|target|build|dist)\//

/** The repository's own text files, committed or not. */
export function repositoryFiles(): SourceFile[] {
  const below = (top: string): string[] =>
    statSync(ROOT + top).isDirectory()
      ? readdirSync(ROOT + top, { recursive: true }).map((path) => `${top}/${path.toString()}`)
      : [top]
  return readdirSync(ROOT)
    .filter((top) => !LEFT_OUT.test(top))
    .flatMap(below)
    .filter((path) => TEXT.test(path) && !BUILT.test(path) && existsSync(ROOT + path))
    .toSorted()
    .map((path) => ({ path, text: readFileSync(ROOT + path, 'utf8') }))
}
