import { statSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'

import { checkKeys, checkObject } from '../options/check.ts'
import { invalid } from '../native/errors.ts'
import { guests } from '../options/guest.ts'
import type { VirtualMachineOptions } from '../options/options.ts'
import { Files } from './files.ts'
import { realize } from './realize.ts'
import type { DefinitionOptions, MachineDefinition } from './types.ts'

/**
 * Makes the options of a machine from a definition: reads its files, all together up to 1 GiB, and
 * calls its module. Each call reads anew, but a module is loaded once per process, as ES modules
 * are.
 *
 * Rejects with a `VmError`: `ERR_INVALID_OPTION` for what the definition must not say, naming the
 * path of the key, and for a module that is not there; `ERR_PAYLOAD` for a file that cannot be
 * read, with `call` and `errno`, or is a pipe or a device; `ERR_LIMIT`; `ERR_HANDLER` for a module
 * that throws, with its error as `cause`. What the machine itself refuses, such as routes that
 * overlap, is refused by `new VirtualMachine`.
 *
 * @example
 * ```ts
 * const definition = { payload: { guest: 'spin' }, mode: 'real', vcpus: 1 } as const
 * const options = await fromDefinition(definition, { base: import.meta.url })
 * using vm = new VirtualMachine(options)
 * console.log(vm.runSync({ timeoutMs: 5 }).reason) // timeout
 * ```
 *
 * @category Definitions
 */
export async function fromDefinition(
  definition: MachineDefinition,
  options: DefinitionOptions = {},
): Promise<VirtualMachineOptions> {
  checkKeys('options', checkObject('options', options), ['base'])
  const { base = '.' } = options
  const files = new Files()
  return await realize(definition, {
    base: folderOf(base),
    read: (path, name) => files.read(path, name),
    guests,
  })
}

/** A folder by path or URL; of a file the folder that it is in. */
function folderOf(base: unknown): string {
  const path = resolve(pathOf(base))
  return isFile(path) ? dirname(path) : path
}

function isFile(path: string): boolean {
  try {
    return statSync(path).isFile()
  } catch {
    // A path that is relative to it says what is wrong.
    return false
  }
}

function pathOf(base: unknown): string {
  const path = isUrl(base) ? pathOfUrl(base) : base
  const isPath = typeof path === 'string' && path !== '' && !path.includes('\0')
  return isPath ? path : invalid('base', "a folder's path or a file: URL", base)
}

function isUrl(base: unknown): base is string | URL {
  return base instanceof URL || (typeof base === 'string' && base.startsWith('file:'))
}

function pathOfUrl(base: string | URL): string | undefined {
  try {
    return fileURLToPath(base)
  } catch {
    return undefined
  }
}
