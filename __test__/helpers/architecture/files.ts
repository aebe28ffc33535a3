import { execFileSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** A file of the repository; `path` is relative to its root. */
export interface SourceFile {
  path: string
  text: string
}

export interface FunctionSpan {
  name: string
  line: number
  lines: number
}

const ROOT = fileURLToPath(new URL('../../..', import.meta.url))
const TEXT = /(\.(rs|ts|mts|cts|mjs|cjs|js|c|h|S|s|ld|toml|json|md|yml|sh)|^\.ci\/run)$/
const UNTRACKED_FOLDERS = new Set(['.git', '.cache', 'node_modules', 'target', 'dist'])

/** Written by tools, not to be read or shortened. */
const GENERATED = new Set(['index.d.ts', 'package-lock.json'])

function walk(folder = ''): string[] {
  return readdirSync(join(ROOT, folder), { withFileTypes: true })
    .filter((entry) => !UNTRACKED_FOLDERS.has(entry.name))
    .flatMap((entry) => {
      const path = join(folder, entry.name)
      return entry.isDirectory() ? walk(path) : [path]
    })
}

function listed(): string[] {
  try {
    const args = ['ls-files', '--cached', '--others', '--exclude-standard', '-z']
    // An archive of the sources has no .git, or lies inside someone else's repository.
    if (!existsSync(join(ROOT, '.git'))) return walk()
    return execFileSync('git', args, { cwd: ROOT, encoding: 'utf8' }).split('\0')
  } catch {
    return walk()
  }
}

/** The repository's own text files, committed or new. */
export function repositoryFiles(): SourceFile[] {
  return [...new Set(listed())]
    .filter((path) => TEXT.test(path) && !GENERATED.has(path) && existsSync(join(ROOT, path)))
    .toSorted()
    .map((path) => ({ path, text: readFileSync(join(ROOT, path), 'utf8') }))
}
