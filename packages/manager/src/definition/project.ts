import { readFile, stat } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'

import { ManagerError } from '../supervisor/errors.ts'
import { maxDefinitionBytes } from './check.ts'
import { checkMachineName } from './names.ts'
import { show, suggestion } from './show.ts'

/** How many machines a project has at most. */
const maxProjectMachines = 1_000

/** Bytes of a file with definitions. */
const maxFileBytes = 16 * 1024 * 1024

/** What `vmexit up` reads. */
export interface Project {
  /** The folder of the file: paths are relative to it. */
  readonly base: string
  /** Its definitions, in order. Only their names were checked. */
  readonly machines: readonly ({ readonly name: string } & Readonly<Record<string, unknown>>)[]
}

/**
 * A project: `{ "version": 1, "machines": … }`, where `machines` is an array of definitions with
 * names, or an object of definitions by name. `ERR_INVALID_OPTION` with the path of what is wrong.
 */
export function parseProject(value: unknown, base: string): Project {
  const project = objectOf(value, 'the project')
  if (Object.hasOwn(project, 'payload') && !Object.hasOwn(project, 'machines'))
    fail('the project has no machines, but a payload: `vmexit define` takes a single definition')
  const known = ['$schema', 'version', 'machines']
  const unknown = Object.keys(project).find((key) => !known.includes(key))
  if (unknown !== undefined)
    fail(`the project has no key ${show(unknown)}${suggestion(unknown, known)}`)
  if (project['version'] !== undefined && project['version'] !== 1)
    fail(`version must be 1, got ${show(project['version'])}`)
  const machines = Array.isArray(project['machines'])
    ? project['machines'].map((each, index) => named(each, `machines[${index}]`))
    : Object.entries(objectOf(project['machines'], 'machines')).map(([name, each]) =>
        named(each, `machines.${name}`, name),
      )
  if (machines.length === 0) fail('machines must not be empty')
  if (machines.length > maxProjectMachines)
    throw new ManagerError(
      'ERR_LIMIT',
      `a project has at most ${maxProjectMachines} machines, this one has ${machines.length}`,
    )
  const names = machines.map(({ name }) => name)
  const twice = names.find((name, index) => names.indexOf(name) !== index)
  if (twice !== undefined) fail(`machines: two have the name ${twice}`)
  return { base, machines }
}

/** Reads a project file. */
export async function readProject(file: string): Promise<Project> {
  return parseProject(await readJson(file, maxFileBytes), dirname(resolve(file)))
}

/** Reads a definition's file; only its JSON is checked. */
export async function readDefinition(file: string): Promise<{ base: string; definition: unknown }> {
  const definition = await readJson(file, maxDefinitionBytes)
  return { base: dirname(resolve(file)), definition }
}

async function readJson(file: string, most: number): Promise<unknown> {
  let text: string
  try {
    const found = await stat(file)
    // A pipe could keep the caller waiting for ever.
    if (!found.isFile()) fail(`${file} is no regular file`)
    if (found.size > most)
      throw new ManagerError('ERR_LIMIT', `${file}: at most ${most} bytes, it has ${found.size}`)
    text = await readFile(file, 'utf8')
  } catch (error) {
    if (error instanceof ManagerError) throw error
    return fail(`cannot read ${file}: ${(error as Error).message}`, error)
  }
  try {
    return JSON.parse(text)
  } catch (error) {
    return fail(`${file} is no JSON: ${(error as Error).message}`, error)
  }
}

function named(value: unknown, path: string, key?: string): Project['machines'][number] {
  const definition = objectOf(value, path)
  const name = checkMachineName(definition['name'] ?? key, `the name of ${path}`)
  if (key !== undefined && name !== key)
    fail(`${path}.name must be ${show(key)}, got ${show(name)}`)
  return { ...definition, name }
}

function objectOf(value: unknown, path: string): Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    return fail(`${path} must be an object, got ${show(value)}`)
  return Object.fromEntries(Object.entries(value))
}

function fail(message: string, cause?: unknown): never {
  throw new ManagerError('ERR_INVALID_OPTION', message, { cause })
}
