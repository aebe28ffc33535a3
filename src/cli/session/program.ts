import { accessSync, constants, lstatSync, readFileSync, readlinkSync, statSync } from 'node:fs'
import { delimiter, join, resolve } from 'node:path'

import { readElf } from '../../debug/elf.ts'
import { hostFile } from '../../process/index.ts'
import { ProgramError } from '../command.ts'
import type { GivenDirectory } from '../values.ts'

/** As many links as the kernel follows, and interpreters of interpreters. */
const MOST_LINKS = 40
const MOST_SCRIPTS = 4
/** BINPRM_BUF_SIZE: what of a script's first line counts. */
const HEADER_BYTES = 256
/** Where a shell looks without PATH. */
const USUAL_PLACES = '/usr/local/bin:/usr/bin:/bin'

type Files = Record<string, ReturnType<typeof hostFile>>

/** A program as a process is given it. */
export interface Found {
  /** Where the process finds it. */
  readonly path: string
  readonly args: readonly string[]
  readonly files: Files
}

/** Looks for programs: in the directories that are given, and on the host. */
class Places {
  readonly #directories: readonly GivenDirectory[]
  readonly files: Files

  constructor(directories: readonly GivenDirectory[]) {
    // The longest first: of nested ones it counts.
    this.#directories = directories.toSorted((a, b) => b.guest.length - a.guest.length)
    this.files = Object.fromEntries(
      directories.map(({ host, guest, readOnly }) => [guest, hostFile(host, { readOnly })]),
    )
  }

  /** Where a path of the process is on the host, and gives it to it if no directory has it. */
  give(path: string): string | undefined {
    const given = this.#given(path)
    if (given !== undefined) return given
    const stats = statSync(path, { throwIfNoEntry: false })
    if (!stats?.isFile()) return stats && path
    this.files[path] = hostFile(path, { readOnly: true })
    return path
  }

  /** Whether a path is that of an executable. */
  has(path: string): boolean {
    const host = this.#given(path) ?? path
    return Boolean(statSync(host, { throwIfNoEntry: false })?.isFile()) && isExecutable(host)
  }

  /** Walks a path as the process does: links lead to where they would in its own name space. */
  #given(path: string): string | undefined {
    const rest = path.split('/').filter(Boolean)
    let at = '/'
    let links = 0
    while (rest.length > 0) {
      const next = resolve(at, rest.shift()!)
      const host = this.#hostOf(next)
      const stats = host === undefined ? undefined : lstatSync(host, { throwIfNoEntry: false })
      if (host !== undefined && !stats) return undefined
      if (stats?.isSymbolicLink()) {
        if (++links > MOST_LINKS) return undefined
        const target = readlinkSync(host!)
        rest.unshift(...target.split('/').filter(Boolean))
        if (target.startsWith('/')) at = '/'
      } else at = next
    }
    return this.#hostOf(at)
  }

  #hostOf(path: string): string | undefined {
    for (const { host, guest } of this.#directories) {
      if (path === guest) return resolve(host, '.')
      const folder = guest.endsWith('/') ? guest : `${guest}/`
      if (path.startsWith(folder)) return join(host, path.slice(folder.length))
    }
    return undefined
  }
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}

/** Finds a program by its name or path, and what the kernel would need to start it. */
export function findProgram(
  name: string,
  args: readonly string[],
  directories: readonly GivenDirectory[],
): Found {
  const places = new Places(directories)
  let path = name.includes('/') ? resolve(name) : search(name, places)
  let words = args
  for (let scripts = 0; ; scripts++) {
    const image = readProgram(path, places)
    const script = scriptHeader(image)
    if (!script) {
      loaderOf(path, image, places)
      return { path, args: words, files: places.files }
    }
    if (scripts >= MOST_SCRIPTS)
      return ProgramError.notExecutable(`${name}: an interpreter's interpreter is a script`)
    words = [...script.args, path, ...words]
    // What `env` would look for, as it can start nothing.
    const isEnv = /(^|\/)env$/.test(script.interpreter)
    const wanted = isEnv ? words[0]! : script.interpreter
    if (isEnv && (script.args.length !== 1 || /^-|=/.test(wanted)))
      return ProgramError.notExecutable(`${path}: only '#!${script.interpreter} NAME' is supported`)
    if (isEnv) words = words.slice(1)
    path = wanted.includes('/') ? resolve('/', wanted) : search(wanted, places)
  }
}

function search(name: string, places: Places): string {
  const folders = (process.env['PATH'] ?? USUAL_PLACES).split(delimiter)
  const found = folders.map((folder) => resolve(folder, name)).find((path) => places.has(path))
  return found ?? ProgramError.notFound(`${name}: no such program in PATH`)
}

function readProgram(path: string, places: Places): Buffer {
  const host = places.give(path)
  if (host === undefined) return ProgramError.notFound(`${path}: no such file`)
  if (statSync(host).isDirectory()) return ProgramError.notExecutable(`${path} is a directory`)
  if (!isExecutable(host)) return ProgramError.notExecutable(`${path} is not executable`)
  try {
    return readFileSync(host)
  } catch (error) {
    return ProgramError.notExecutable(`${path}: ${(error as Error).message}`)
  }
}

/** The first line of a script. */
function scriptHeader(image: Buffer): { interpreter: string; args: string[] } | undefined {
  const [first = ''] = image.toString('latin1', 0, HEADER_BYTES).split('\n')
  const [, interpreter, argument] = /^#![ \t]*([^ \t\0]+)[ \t]*([^\0]*?)[ \t\r]*$/.exec(first) ?? []
  if (interpreter === undefined) return undefined
  return { interpreter, args: argument ? [argument] : [] }
}

/** Gives a program what loads it. */
function loaderOf(path: string, image: Buffer, places: Places): void {
  const elf = readElf(image)
  if (!elf || elf.bits !== 64 || elf.isRelocatable)
    return ProgramError.notExecutable(`${path} is no program for x86-64 Linux`)
  if (elf.interpreter === undefined) return
  if (places.give(resolve('/', elf.interpreter)) === undefined)
    ProgramError.notFound(`${path}: its interpreter ${elf.interpreter} is not there`)
}
