// Follows a chapter from an empty folder: writes its files, types its commands, and compares what
// they print.
import { spawn } from 'node:child_process'
import {
  closeSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'

import { linesOf, matches } from '../printed.ts'
import type { Chapter, Step } from './chapter.ts'
import { killAll } from './leftovers.ts'
import { type Place, isEmulated, missing, provided } from './needs.ts'

const BLOCK_SECONDS = 600
/** On a processor that is emulated. */
const LONG_SECONDS = 1200

/** What the reader has: Node.js with TypeScript, `npx`, and the package in the chapter's folder. */
export interface Reader {
  /** Programs by name, as scripts for sh, that stand first in PATH. */
  programs: Readonly<Record<string, string>>
  /** The rest of PATH. */
  path: string
  /** Packages in the folder's `node_modules`, each linked to where it is. */
  packages: Readonly<Record<string, string>>
  /** Whether what fetches packages is run; the packages above are there without it. */
  installs?: boolean
  /** More of the environment. */
  env?: Readonly<Record<string, string>>
}

/** How a chapter went. */
export interface Walked {
  /** Blocks of commands that ran. */
  ran: number
  /** Blocks that were left out, each with the reason. */
  skipped: readonly string[]
  /** What the reader would have stumbled over; the walk ends there. */
  failure: string | undefined
}

/** Lines that bring packages into the folder. */
const INSTALLS = /^npm (init|pkg|install)\b/

/** Puts a package's own commands where `npx` looks for them. */
function linkPrograms(target: string, bin: string): void {
  const manifest = JSON.parse(readFileSync(join(target, 'package.json'), 'utf8'))
  mkdirSync(bin, { recursive: true })
  for (const [name, path] of Object.entries(manifest.bin ?? {}))
    symlinkSync(join(target, path as string), join(bin, name))
}

/** An empty folder of a reader's, with its programs and packages. */
function settle({ programs, path, packages, env: more }: Reader, home: string): Place {
  const [bin, folder] = [join(home, 'bin'), join(home, 'guide')]
  for (const each of [bin, folder, join(home, 'run')]) mkdirSync(each)
  for (const [name, script] of Object.entries(programs))
    writeFileSync(join(bin, name), `#!/bin/sh\n${script}\n`, { mode: 0o755 })
  const manifest = { name: 'guide', private: true, type: 'module' }
  writeFileSync(join(folder, 'package.json'), `${JSON.stringify(manifest)}\n`)
  for (const [name, target] of Object.entries(packages)) {
    const link = join(folder, 'node_modules', name)
    mkdirSync(dirname(link), { recursive: true })
    symlinkSync(target, link)
    linkPrograms(target, join(folder, 'node_modules', '.bin'))
  }
  const env = {
    ...process.env,
    PATH: `${bin}:${path}`,
    HOME: home,
    XDG_RUNTIME_DIR: join(home, 'run'),
    XDG_STATE_HOME: join(home, 'state'),
    LC_ALL: 'C.UTF-8',
    NO_COLOR: '1',
    ...more,
  }
  return { folder, env }
}

function write(folder: string, { name, code }: Step): void {
  const path = join(folder, name)
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, code, { mode: name.endsWith('.sh') ? 0o755 : 0o644 })
}

/** Runs commands as typed, both streams as a terminal shows them; what they leave running stays. */
class Shell {
  readonly #place: Place
  readonly #home: string
  readonly #groups: number[] = []

  constructor(place: Place, home: string) {
    this.#place = place
    this.#home = home
  }

  async type(script: string, seconds: number): Promise<{ code: number | string; text: string }> {
    const path = join(this.#home, `printed-${this.#groups.length}`)
    // A file and no pipe: a program that is left running would keep a pipe open.
    const file = openSync(path, 'a')
    const child = spawn('sh', ['-c', script], {
      cwd: this.#place.folder,
      env: this.#place.env,
      stdio: ['ignore', file, file],
      detached: true,
    })
    if (child.pid !== undefined) this.#groups.push(child.pid)
    let isLate = false
    const timer = setTimeout(() => {
      isLate = true
      this.#kill(child.pid)
    }, seconds * 1000)
    const code = await new Promise<number | string>((resolve, reject) => {
      child.on('error', reject)
      child.on('exit', (status, signal) => resolve(status ?? signal ?? 'no status'))
    })
    clearTimeout(timer)
    closeSync(file)
    return { code: isLate ? `nothing, for ${seconds} s` : code, text: readFileSync(path, 'utf8') }
  }

  #kill(group: number | undefined): void {
    try {
      if (group !== undefined) process.kill(-group, 'SIGKILL')
    } catch {
      // All of it has ended.
    }
  }

  close(): void {
    for (const group of this.#groups) this.#kill(group)
    // A daemon's machines have groups of their own.
    killAll('HOME', this.#home)
  }
}

/** Lines with a mark at those that differ, by position. */
function beside(lines: readonly string[], others: readonly string[], mark: string): string[] {
  return lines.map((line, index) => {
    const [printed = '', wanted = ''] = mark === '-' ? [others[index], line] : [line, others[index]]
    return `  ${matches([printed], [wanted]) && index < others.length ? ' ' : mark} ${line}`
  })
}

/** What a reader sees where the text says something else. */
function difference(wanted: readonly string[], printed: readonly string[]): string {
  const parts = ['promised:', ...beside(wanted, printed, '-')]
  return [...parts, 'printed:', ...beside(printed, wanted, '+')].join('\n')
}

/** What is wrong with what a block of commands did. */
async function typed(
  shell: Shell,
  { code, output }: Step,
  installs: boolean,
): Promise<string | undefined> {
  const lines = code.split('\n').filter((line) => installs || !INSTALLS.test(line))
  const seconds = isEmulated() ? LONG_SECONDS : BLOCK_SECONDS
  // Where the text shows what is printed, that says whether it failed.
  const script = [...(output === undefined ? ['set -e'] : []), ...lines].join('\n')
  const { code: ended, text } = await shell.type(script, seconds)
  const printed = linesOf(text)
  if (typeof ended === 'string' || (output === undefined && ended !== 0))
    return `ended with ${ended}\n${printed.join('\n')}`
  const wanted = linesOf(output ?? '')
  const isRight = output === undefined || matches(printed, wanted)
  return isRight ? undefined : difference(wanted, printed)
}

/** The reasons to leave a step out, each found out once. */
class Lacks {
  readonly #place: Place
  readonly #known = new Map<string, Promise<string | undefined>>()

  constructor(place: Place) {
    this.#place = place
  }

  async of(needs: readonly string[]): Promise<string | undefined> {
    const reasons = await Promise.all(needs.map((need) => this.#ask(need)))
    return reasons.find((reason) => reason !== undefined)
  }

  #ask(need: string): Promise<string | undefined> {
    const known = this.#known.get(need) ?? missing(need, this.#place)
    this.#known.set(need, known)
    return known
  }
}

/** Follows a chapter to its end, or to where its reader stumbles. */
export async function walk({ path, steps }: Chapter, reader: Reader): Promise<Walked> {
  const home = mkdtempSync(join(tmpdir(), 'guide-'))
  const place = settle(reader, home)
  const shell = new Shell(place, home)
  const lacks = new Lacks(place)
  const [given, skipped] = [new Set<string>(), [] as string[]]
  let ran = 0
  try {
    for (const step of steps) {
      const at = `${path}:${step.line}`
      const reason = await lacks.of(step.needs)
      if (reason !== undefined) {
        skipped.push(`${at}: ${reason}`)
        continue
      }
      for (const need of step.needs.filter((each) => !given.has(each))) {
        given.add(need)
        for (const [name, from] of Object.entries(provided[need] ?? {}))
          cpSync(from, join(place.folder, name), { recursive: true, dereference: true })
      }
      if (step.kind === 'write') write(place.folder, step)
      if (step.kind !== 'type') continue
      const problem = await typed(shell, step, reader.installs ?? false)
      ran += 1
      if (problem !== undefined)
        return { ran, skipped, failure: `${at}: ${step.code.trimEnd()}\n${problem}` }
    }
    return { ran, skipped, failure: undefined }
  } finally {
    shell.close()
    rmSync(home, { recursive: true, force: true, maxRetries: 10, retryDelay: 50 })
  }
}
