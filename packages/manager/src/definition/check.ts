import { realpathSync } from 'node:fs'
import { createRequire } from 'node:module'
import { isAbsolute, relative, resolve } from 'node:path'

import type { DefinedImage, MachineDefinition } from 'vmexit'

import { ManagerError } from '../supervisor/errors.ts'
import type { Origin } from '../supervisor/interface.ts'
import { canonicalJson } from './canonical.ts'
import { checkMeaning } from './meaning.ts'
import { checkMachineName } from './names.ts'
import { type Schema, check } from './schema.ts'
import { type ManagedDefinition, managerSchema } from './settings.ts'
import { show } from './show.ts'

/** Bytes of a definition: it has to fit into one line to its machine's process. */
export const maxDefinitionBytes = 256 * 1024

/** The kernel's `PATH_MAX`, without the NUL at its end. */
const maxPathBytes = 4095

/** How a definition is checked. */
export interface CheckOptions {
  /** Where it came from: a module, which is code, is accepted from a local caller only. */
  readonly from: Origin
  /** The folder of relative paths, an absolute path itself; without one they are an error. */
  readonly base?: string
  /** The folder below which modules are accepted from others, too. */
  readonly modules?: string
}

/** The package's schema, with `manager`, which the package ignores. Reading it opens no KVM. */
const machineSchema = withManager(
  createRequire(import.meta.url)('vmexit/machine.schema.json') as Schema,
)

function withManager(schema: Schema): Schema {
  return { ...schema, properties: { ...schema.properties, manager: managerSchema } }
}

/**
 * A definition as it is kept: with known keys, types and ranges, absolute paths, and a name.
 * `ERR_INVALID_OPTION` with the path of the key, `ERR_LIMIT`, and `ERR_FORBIDDEN` for a module from
 * where none is accepted. What only a machine can tell, such as routes that overlap, is told at its
 * start.
 */
export function checkDefinition(value: unknown, options: CheckOptions): ManagedDefinition {
  const checked = check(machineSchema, value, 'definition') as unknown as MachineDefinition
  const name = checkMachineName(checked.name, 'definition.name')
  checkMeaning(checked)
  const placed = { ...withPaths(checked, options), name } as ManagedDefinition
  const bytes = Buffer.byteLength(canonicalJson(placed))
  if (bytes <= maxDefinitionBytes) return placed
  throw new ManagerError(
    'ERR_LIMIT',
    `a definition has at most ${maxDefinitionBytes} bytes as JSON, this one has ${bytes}`,
  )
}

function withPaths(definition: MachineDefinition, options: CheckOptions): MachineDefinition {
  const place = (path: string, key: string): string => absolute(path, key, options)
  const { payload, disks, module } = definition
  return {
    ...definition,
    payload: payload.file === undefined ? payload : withImagePaths(payload, place),
    ...(disks && {
      disks: disks.map((disk, index) => ({
        ...disk,
        file: place(disk.file, `disks[${index}].file`),
      })),
    }),
    ...(module !== undefined && { module: acceptedModule(place(module, 'module'), options) }),
  }
}

type Place = (path: string, key: string) => string

function withImagePaths(image: DefinedImage, place: Place): DefinedImage {
  const { file, initrd, modules, files } = image
  const placed = <T extends { file: string }>(list: T[], key: string): T[] =>
    list.map((each, index) => ({ ...each, file: place(each.file, `${key}[${index}].file`) }))
  return {
    ...image,
    file: place(file, 'payload.file'),
    ...(initrd !== undefined && { initrd: place(initrd, 'payload.initrd') }),
    ...(modules && { modules: placed(modules, 'payload.modules') }),
    ...(files && { files: placed(files, 'payload.files') }),
  }
}

function absolute(path: string, key: string, { base }: CheckOptions): string {
  if (!isAbsolute(path) && base === undefined)
    throw new ManagerError(
      'ERR_INVALID_OPTION',
      `definition.${key} must be an absolute path, as there is no folder it could be relative to, ` +
        `got ${show(path)}`,
    )
  if (base !== undefined && (!isAbsolute(base) || base.includes('\0')))
    throw new ManagerError('ERR_INVALID_OPTION', `base must be an absolute path, got ${show(base)}`)
  const full = base === undefined ? resolve(path) : resolve(base, path)
  const bytes = Buffer.byteLength(full)
  if (bytes <= maxPathBytes) return full
  throw new ManagerError(
    'ERR_LIMIT',
    `definition.${key}: a path has at most ${maxPathBytes} bytes, this one has ${bytes}`,
  )
}

/** A module is code: it runs in the machine's process, with the rights of the daemon's user. */
function acceptedModule(path: string, { from, modules }: CheckOptions): string {
  if (from === 'local') return path
  const real = modules === undefined ? undefined : below(path, modules)
  if (real !== undefined) return real
  const where = modules === undefined ? 'below the folder of --modules' : `below ${modules}`
  throw new ManagerError(
    'ERR_FORBIDDEN',
    `definition.module is code, and is accepted from here ${where} only: ` +
      'use vmexit define on this host, or put the module there',
  )
}

/** Where a path really leads, if that is below a folder. Links are followed. */
function below(path: string, folder: string): string | undefined {
  try {
    const real = realpathSync(path)
    const way = relative(realpathSync(folder), real)
    const isBelow = way !== '' && way !== '..' && !way.startsWith('../') && !isAbsolute(way)
    return isBelow ? real : undefined
  } catch {
    return undefined
  }
}
