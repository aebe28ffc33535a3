import { basename, relative, resolve } from 'node:path'
import process from 'node:process'

import { findProgram } from '../../native/programs.ts'
import { type Run, UsageError, exitCodes, printJson } from '../command.ts'
import { type Made, makeProject } from '../new/make.ts'
import { type Template, templates } from '../new/templates.ts'
import { parseWord } from '../values.ts'
import { words } from '../words.ts'

/** What to install for a program. */
const packages = { as: 'binutils', cc: 'gcc' } as const

/** `vmexit new`. */
export const runNew: Run = async (values, positionals) => {
  const [name, dir, extra] = positionals
  const list = words.templates.join(', ')
  if (name === undefined) return UsageError.raise(`new needs a template and a folder: ${list}`)
  const chosen = parseWord('TEMPLATE', words.templates, name)
  if (dir === undefined || dir === '')
    return UsageError.raise(`new needs a folder, too: new ${chosen} DIR`)
  if (extra !== undefined) return UsageError.raise(`new takes one folder, got '${extra}' too`)
  const template = templates.find((each) => each.name === chosen)!
  const folder = resolve(dir)
  const made = await unlessStopped((signal) => makeProject(template, folder, signal))
  if (made === undefined) return exitCodes.interrupted
  const missing = template.needs.filter((program) => !hasProgram(program))
  if (values['json']) printJson({ template: chosen, folder, ...made, missing, next: next(dir) })
  else process.stdout.write(describe(template, made, dir, missing))
  return exitCodes.fine
}

/** Ctrl-C and the like end the work, and not the process while it writes. */
async function unlessStopped<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const stop = new AbortController()
  const onSignal = (): void => stop.abort()
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const
  for (const signal of signals) process.on(signal, onSignal)
  try {
    return await work(stop.signal)
  } catch (error) {
    // What the file system says: no permission, no space.
    const { code, message } = error as NodeJS.ErrnoException
    return code === undefined ? Promise.reject(error) : UsageError.raise(`DIR: ${message}`)
  } finally {
    for (const signal of signals) process.off(signal, onSignal)
  }
}

const hasProgram = (program: 'as' | 'cc'): boolean =>
  findProgram((program === 'cc' && process.env['CC']?.split(' ')[0]) || program) !== undefined

function next(dir: string): string[] {
  const to = relative('', dir)
  const shown = /^[\w./-]+$/.test(to) ? to : `'${to.replaceAll("'", String.raw`'\''`)}'`
  return [...(to === '' ? [] : [`cd ${shown}`]), 'npm install', 'npm start', 'npm test']
}

function describe(
  { name, about }: Template,
  { files }: Made,
  dir: string,
  missing: readonly ('as' | 'cc')[],
): string {
  const lacks = missing.map(
    (program) => `It needs ${program}, which is not on PATH: apt install ${packages[program]}\n`,
  )
  const steps = next(dir).map((step) => `  ${step}`)
  const what = `${basename(resolve(dir))}: ${name}, ${about}; ${files.length} files`
  return `${what}\n\n${steps.join('\n')}\n\n${lacks.join('')}README.md says what is where.\n`
}
