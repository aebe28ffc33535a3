import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'

import { VmError, fail, invalid, raise, showThrown } from '../native/errors.ts'
import type { Guest } from '../options/guest.ts'
import type { MemorySlot, VirtualMachineOptions } from '../options/options.ts'
import type { Image } from '../options/payload.ts'
import type { Route } from '../options/routes.ts'
import { check } from './check.ts'
import { checkFile } from './files.ts'
import { machineRule } from './table.ts'
import type { DefinedFile, DefinedImage, DefinitionModule, MachineDefinition } from './types.ts'

/** Where a definition finds what it names. */
export interface Surroundings {
  /** The folder of relative paths. */
  readonly base: string
  /** The bytes of a file; `name` is what messages call it. */
  readonly read: (path: string, name: string) => Promise<Uint8Array>
  readonly guests: Readonly<Record<string, Guest>>
}

/** A definition that was checked: its numbers are numbers. */
type Checked = Omit<MachineDefinition, Ignored | 'memoryBytes' | 'slots' | 'payload' | 'routes'> & {
  memoryBytes?: number
  slots?: MemorySlot[]
  payload: { guest: string } | CheckedImage
  routes?: Route[]
}
type Ignored = '$schema' | 'manager'
type CheckedImage = DefinedImage & { loadGpa?: number; entryGpa?: number }

/** The options of the machine that a definition describes. */
export async function realize(
  definition: unknown,
  surroundings: Surroundings,
): Promise<VirtualMachineOptions> {
  const checked = check(machineRule, definition, '') as Checked
  const { version: _version, name: _name, module, payload, disks, ...rest } = checked
  const { base } = surroundings
  const options: VirtualMachineOptions = {
    ...rest,
    payload: await payloadOf(payload, surroundings),
    ...(disks && { disks: disks.map((disk) => ({ ...disk, file: resolve(base, disk.file) })) }),
  }
  if (module === undefined) return options
  const path = resolve(base, module)
  return merged(options, await moduleOptions(path, definition as MachineDefinition))
}

async function payloadOf(
  payload: Checked['payload'],
  { base, read, guests }: Surroundings,
): Promise<Guest | Image> {
  const { guest } = payload
  // The check knows them all.
  if (guest !== undefined) return Object.values(guests).find((each) => each.name === guest)!
  const { file, initrd, modules, files, guest: _, ...rest } = payload as CheckedImage
  const from = (path: string, name: string): Promise<Uint8Array> =>
    read(resolve(base, path), `payload.${name}`)
  const image: Image = { ...rest, image: await from(file, 'file') }
  if (initrd !== undefined) image.initrd = await from(initrd, 'initrd')
  if (files !== undefined) image.files = await named(files, from)
  if (modules === undefined) return image
  const loaded = []
  // One after the other: what they have together is bounded.
  for (const [index, { file: path, ...more }] of modules.entries())
    loaded.push({ ...more, image: await from(path, `modules[${index}].file`) })
  return { ...image, modules: loaded }
}

/** What firmware finds by name. */
async function named(
  files: readonly DefinedFile[],
  from: (path: string, name: string) => Promise<Uint8Array>,
): Promise<Record<string, Uint8Array>> {
  const read = new Map<string, Uint8Array>()
  // One after the other, as modules are.
  for (const [index, { name, file }] of files.entries()) {
    if (read.has(name)) return invalid(`payload.files[${index}].name`, 'another name', name)
    read.set(name, await from(file, `files[${index}].file`))
  }
  return Object.fromEntries(read)
}

/** What the module gives. */
async function moduleOptions(path: string, definition: MachineDefinition): Promise<object> {
  await checkFile(path, 'module', 'ERR_INVALID_OPTION')
  const failed = (cause: unknown): never =>
    raise(new VmError('ERR_HANDLER', `module '${path}' failed: ${showThrown(cause)}`, { cause }))
  const { default: make } = await (
    import(pathToFileURL(path).href) as Promise<{ default?: DefinitionModule }>
  ).catch(failed)
  if (typeof make !== 'function')
    return fail('ERR_INVALID_OPTION', `module '${path}' must have a function as its default export`)
  let given: unknown
  try {
    given = await make(definition)
  } catch (error) {
    return failed(error)
  }
  const isObject = typeof given === 'object' && given !== null && !Array.isArray(given)
  return isObject ? given! : invalid(`what module '${path}' returns`, 'an object', given)
}

/** The second over the first, but arrays one after the other. */
function merged(options: VirtualMachineOptions, more: object): VirtualMachineOptions {
  const own = new Map<string, unknown>(Object.entries(options))
  for (const [key, value] of Object.entries(more) as [string, unknown][]) {
    if (value === undefined) continue
    const first = own.get(key)
    own.set(key, Array.isArray(first) && Array.isArray(value) ? [...first, ...value] : value)
  }
  // Their shape is checked where a machine is made of them.
  return Object.fromEntries(own) as unknown as VirtualMachineOptions
}
