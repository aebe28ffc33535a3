import { createRequire } from 'node:module'
import { pathToFileURL } from 'node:url'

import { raise } from '../native/errors.ts'
import type { Command } from './command.ts'

/** What this command hands over to `@vmexit/manager`, which knows more of it. */
export type Verb = Pick<Command, 'name' | 'summary'> &
  Partial<Pick<Command, 'argument' | 'options'>>

/** In the order of the help. */
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

/** Whether the manager answers to it. */
export function isVerb(name: string): boolean {
  return verbs.some((verb) => verb.name === name)
}

/** The manager is not there. */
export class NotInstalled extends Error {
  readonly code = 'ERR_NOT_INSTALLED'
}

/** What `@vmexit/manager/cli` exports. */
interface Manager {
  /** Returns the exit code. */
  main(args: readonly string[]): Promise<number>
  /** The same verbs, with their options. */
  readonly verbs: readonly Verb[]
}

/** Runs a verb of the manager's, whose arguments are passed untouched. */
export async function handOver(args: readonly string[]): Promise<number> {
  const manager = await installed()
  if (manager) return await manager.main(args)
  return raise(new NotInstalled(`'${args[0]}' is in another package: npm install @vmexit/manager`))
}

/** The manager's verbs; with their options where it is installed. */
export async function knownVerbs(): Promise<readonly Verb[]> {
  return (await installed())?.verbs ?? verbs
}

/**
 * The manager beside this package, or beside the command as it was called: a package manager may
 * keep each package apart, and link what the user has asked for.
 */
async function installed(): Promise<Manager | undefined> {
  for (const from of [import.meta.url, process.argv[1]]) {
    const path = from && pathOf(from)
    if (path) return (await import(pathToFileURL(path).href)) as Manager
  }
  return undefined
}

function pathOf(from: string): string | undefined {
  try {
    return createRequire(from).resolve('@vmexit/manager/cli')
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'MODULE_NOT_FOUND' ? undefined : raise(error)
  }
}
