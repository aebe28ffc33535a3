import { createRequire } from 'node:module'
import { pathToFileURL } from 'node:url'

import { raise } from '../native/errors.ts'
import type { Command } from './command.ts'

/** What this command hands over to a package beside this one, which knows more of it. */
export type Verb = Pick<Command, 'name' | 'summary'> &
  Partial<Pick<Command, 'argument' | 'options'>>

/** Those of `@vmexit/manager`, in the order of the help. */
export const verbs: readonly Verb[] = [
  { name: 'daemon', summary: 'keep machines, in the foreground' },
  { name: 'web', summary: 'print a URL of the web screen' },
  { name: 'define', summary: 'store the definition of a machine' },
  { name: 'undefine', summary: 'forget machines that do not run' },
  { name: 'ps', summary: 'list the machines' },
  { name: 'start', summary: 'start machines' },
  { name: 'stop', summary: 'press the power button, and kill after a time' },
  { name: 'kill', summary: 'end machines at once' },
  { name: 'reset', summary: 'press the reset button' },
  { name: 'pause', summary: 'stop the vCPUs' },
  { name: 'resume', summary: 'let the vCPUs go on' },
  { name: 'attach', summary: 'be the terminal of a machine' },
  { name: 'logs', summary: 'show the text that a machine has printed' },
  { name: 'screen', summary: 'save what the screen shows' },
  { name: 'stats', summary: 'show what machines cost, and their exits' },
  { name: 'events', summary: 'show what happened to machines' },
  { name: 'snapshot', summary: 'save, list, restore or remove states of a machine' },
  { name: 'up', summary: 'define and start the machines of a project file' },
  { name: 'down', summary: 'stop the machines of a project file' },
]

/** A package beside this one, whose command line is a part of this one. */
export interface Beside {
  readonly name: string
  /** What its verbs are for. */
  readonly about: string
  readonly verbs: readonly Verb[]
}

/** In the order of the help. */
export const packages: readonly Beside[] = [
  { name: '@vmexit/manager', about: 'Machines that outlive their program', verbs },
  {
    name: '@vmexit/fleet',
    about: 'The same runs on many machines',
    verbs: [{ name: 'fleet', summary: 'run jobs on this host, or on all that share a queue' }],
  },
]

const packageOf = (verb: string | undefined): Beside | undefined =>
  packages.find((beside) => beside.verbs.some(({ name }) => name === verb))

/** Whether a package beside this one answers to it. */
export function isVerb(name: string): boolean {
  return packageOf(name) !== undefined
}

/** The package is not there. */
export class NotInstalled extends Error {
  readonly code = 'ERR_NOT_INSTALLED'
}

/** What the `/cli` of such a package exports. */
interface CommandLine {
  /** Returns the exit code. */
  main(args: readonly string[]): Promise<number>
  /** The same verbs, with their options. */
  readonly verbs: readonly Verb[]
}

/** Runs a verb of another package, whose arguments are passed untouched. */
export async function handOver(args: readonly string[]): Promise<number> {
  const name = packageOf(args[0])?.name ?? ''
  const line = await installed(name)
  if (line) return await line.main(args)
  return raise(new NotInstalled(`'${args[0]}' is in another package: npm install ${name}`))
}

/** The verbs of the others; with their options where they are installed. */
export async function knownVerbs(): Promise<readonly Verb[]> {
  const all = packages.map(async (beside) => (await installed(beside.name))?.verbs ?? beside.verbs)
  return (await Promise.all(all)).flat()
}

/**
 * A package beside this package, or beside the command as it was called: a package manager may
 * keep each package apart, and link what the user has asked for.
 */
async function installed(name: string): Promise<CommandLine | undefined> {
  for (const from of [import.meta.url, process.argv[1]]) {
    const path = from && pathOf(from, name)
    if (path) return (await import(pathToFileURL(path).href)) as CommandLine
  }
  return undefined
}

function pathOf(from: string, name: string): string | undefined {
  try {
    return createRequire(from).resolve(`${name}/cli`)
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'MODULE_NOT_FOUND' ? undefined : raise(error)
  }
}
