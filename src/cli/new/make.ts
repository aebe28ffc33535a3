import { randomUUID } from 'node:crypto'
import {
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  rmdirSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { basename, dirname, join, resolve } from 'node:path'
import { setImmediate as turn } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'

import { raise } from '../../native/errors.ts'
import { UsageError, packageVersion } from '../command.ts'
import type { Template } from './templates.ts'

/** The root of the package, the same from src/ and from dist/. */
const root = fileURLToPath(new URL('../../..', import.meta.url))

/** What was made. */
export interface Made {
  /** Of its package.json. */
  readonly name: string
  /** Paths relative to the folder, sorted. */
  readonly files: readonly string[]
}

/**
 * Makes a project of a template in a folder, which is new or empty. All of it is there or nothing:
 * it is written beside the folder, and renamed. Before that, `signal` ends it.
 */
export async function makeProject(
  template: Template,
  folder: string,
  signal: AbortSignal,
): Promise<Made | undefined> {
  const isThere = checkFolder(folder)
  // An empty folder stays the same one: a shell may stand in it.
  const parent = isThere ? folder : dirname(folder)
  const firstMade = mkdirSync(parent, { recursive: true })
  let staged: string | undefined
  try {
    staged = join(parent, `.vmexit-new-${randomUUID()}`)
    mkdirSync(staged)
    const made = fill(staged, template, folder)
    await turn()
    if (signal.aborted) return undefined
    if (isThere) moveInto(folder, staged)
    else renameSync(staged, folder)
    staged = undefined
    return made
  } finally {
    if (staged !== undefined) {
      rmSync(staged, { recursive: true, force: true })
      removeMade(parent, firstMade)
    }
  }
}

/** Whether the folder is there, and empty. */
function checkFolder(folder: string): boolean {
  const stat = statSync(folder, { throwIfNoEntry: false })
  if (stat === undefined) return false
  const expected = 'DIR must be a new or an empty folder'
  if (!stat.isDirectory())
    UsageError.raise(`${expected}, got '${folder}', which is a file; name another one`)
  const names = readdirSync(folder).toSorted()
  if (names.length === 0) return true
  const some = names.slice(0, 3).join(', ')
  const has = names.length > 3 ? `${some} and ${names.length - 3} more` : some
  return UsageError.raise(
    `${expected}, got '${folder}', which has ${has}; name another one, or empty it`,
  )
}

function fill(staged: string, { name }: Template, folder: string): Made {
  const from = join(root, 'templates', name)
  const projectName = packageName(folder, name)
  const files: string[] = []
  // Written anew: what is installed may be read-only.
  for (const path of (readdirSync(from, { recursive: true }) as string[]).toSorted()) {
    if (statSync(join(from, path)).isDirectory()) {
      mkdirSync(join(staged, path))
      continue
    }
    // npm publishes no file of that name as it is.
    const to = path === 'gitignore' ? '.gitignore' : path
    const text = readFileSync(join(from, path), 'utf8')
    writeFileSync(join(staged, to), path === 'package.json' ? manifest(text, projectName) : text)
    files.push(to)
  }
  return { name: projectName, files: files.toSorted() }
}

function manifest(text: string, name: string): string {
  const parsed = JSON.parse(text)
  const dependencies = { ...parsed.dependencies, vmexit: dependency() }
  return `${JSON.stringify({ ...parsed, name, dependencies }, null, 2)}\n`
}

/** A folder's name as npm takes it, or the template's. */
function packageName(folder: string, template: string): string {
  const name = basename(folder)
    .toLowerCase()
    .replaceAll(/[^\w.-]+/g, '-')
    .replaceAll(/^[-._]+|[-._]+$/g, '')
    .slice(0, 214)
  // The last of these cannot depend on itself.
  return ['', 'node_modules', 'favicon.ico', 'vmexit'].includes(name) ? template : name
}

/** This version or a newer one like it; from a checkout, the checkout. */
function dependency(): string {
  const isCheckout = existsSync(join(root, 'crates'))
  return isCheckout ? `file:${resolve(root)}` : `^${packageVersion()}`
}

/** Entry by entry; if that fails, what was moved is removed. */
function moveInto(folder: string, staged: string): void {
  const moved: string[] = []
  try {
    for (const name of readdirSync(staged)) {
      renameSync(join(staged, name), join(folder, name))
      moved.push(name)
    }
    rmdirSync(staged)
  } catch (error) {
    for (const name of moved) rmSync(join(folder, name), { recursive: true, force: true })
    raise(error)
  }
}

/** The folders on the way that were made here, as far as nothing else is in them. */
function removeMade(parent: string, firstMade: string | undefined): void {
  if (firstMade === undefined) return
  try {
    for (let at = parent; at.startsWith(firstMade); at = dirname(at)) rmdirSync(at)
  } catch {
    // Somebody else has put something there.
  }
}
