import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, lstatSync, mkdirSync, mkdtempSync, readFileSync, renameSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

import { raise } from '../../native/errors.ts'

/** The same path from src/ and from dist/. */
const sourceFolder = fileURLToPath(new URL('../../../bench', import.meta.url))

const sources = ['raw.c', 'state.c', 'user.c', 'machine.c'].map((name) => join(sourceFolder, name))

/** The contract of the baseline; nothing is tuned. */
const flags = ['-O2']

const compileTimeoutMs = 60_000

/** The raw C loop as a program: the path of one that was built before, or of a fresh one. */
export function compileRaw(): Promise<string> {
  const compiler = (process.env['CC'] || 'cc').split(' ').filter(Boolean)
  return compile('raw', compiler, sources, flags, [join(sourceFolder, 'machine.h')])
}

/** A program in C: the path of one that was built before, or of a fresh one. */
export async function compile(
  name: string,
  [compiler = 'cc', ...more]: readonly string[],
  files: readonly string[],
  options: readonly string[],
  headers: readonly string[] = [],
): Promise<string> {
  const texts = [...files, ...headers].map((file) => readFileSync(file, 'utf8'))
  const key = createHash('sha256')
    .update([compiler, ...more, ...options, ...texts].join('\0'))
    .digest('hex')
  const program = join(cacheFolder(), `${name}-${key.slice(0, 16)}`)
  if (existsSync(program)) return program
  // Renamed when complete: two that start at once do not run each other's half.
  const fresh = `${program}.${process.pid}`
  try {
    await promisify(execFile)(compiler, [...more, ...options, '-o', fresh, ...files], {
      timeout: compileTimeoutMs,
    })
  } catch (error) {
    const { code, stderr } = error as { code?: unknown; stderr?: string }
    const why = stderr?.trim().split('\n')[0] || `it ended with ${String(code)}`
    const what = code === 'ENOENT' ? 'not found' : why
    return raise(new Error(`no C compiler: ${compiler}: ${what}`, { cause: error }))
  }
  renameSync(fresh, program)
  return program
}

/** A folder that only this user can write to: what lies there is executed. */
function cacheFolder(): string {
  const uid = process.getuid?.() ?? 0
  const base = process.env['XDG_CACHE_HOME']
  const folder = base ? join(base, 'vmexit') : join(tmpdir(), `vmexit-${uid}`)
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 })
    const found = lstatSync(folder)
    if (found.isDirectory() && found.uid === uid && (found.mode & 0o022) === 0) return folder
  } catch {
    // A read-only home is no reason to go without a baseline.
  }
  return mkdtempSync(join(tmpdir(), 'vmexit-bench-'))
}
