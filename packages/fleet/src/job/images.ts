import { fleetError } from './error.ts'
import type { Job, JsonValue } from './job.ts'

type Members = Record<string, unknown>

const isObject = (value: unknown): value is Members =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** The hash of a `{ hash }`, or an error that names where it stands. */
export function hashAt(name: string, value: unknown): string {
  const hash = isObject(value) ? value['hash'] : undefined
  if (typeof hash === 'string' && /^sha256-[\da-f]{64}$/.test(hash)) return hash
  throw fleetError(
    'ERR_INVALID_OPTION',
    `${name} must be { hash: 'sha256-' and 64 hexadecimal digits }; a job names no paths`,
  )
}

/** An object with what `put` makes of the hash at `key`, if it is there. */
function replaced(name: string, value: unknown, keys: readonly string[], put: Put): unknown {
  if (!isObject(value)) return value
  const copy = { ...value }
  for (const key of keys)
    if (Object.hasOwn(copy, key)) copy[key] = put(hashAt(`${name}.${key}`, copy[key]))
  return copy
}

type Put = (hash: string) => string

const each = (name: string, value: unknown, put: Put): unknown =>
  Array.isArray(value)
    ? value.map((item, at) => replaced(`${name}[${at}]`, item, ['file'], put))
    : value

/** A definition with what `put` gives for each `{ hash }`; what names a path is refused. */
export function definitionWith(definition: unknown, put: Put): Members {
  if (!isObject(definition)) throw fleetError('ERR_INVALID_OPTION', 'definition must be an object')
  for (const key of ['module', 'network'])
    if (Object.hasOwn(definition, key))
      throw fleetError('ERR_INVALID_OPTION', `definition.${key} is not for a job: it is the host's`)
  const { payload, disks, ...rest } = definition
  const copy: Members = { ...rest }
  if (payload !== undefined) {
    const made = replaced('definition.payload', payload, ['file', 'initrd'], put)
    copy['payload'] = made
    if (isObject(made))
      for (const key of ['modules', 'files'])
        if (Object.hasOwn(made, key)) made[key] = each(`definition.payload.${key}`, made[key], put)
  }
  if (disks !== undefined) copy['disks'] = volatile(each('definition.disks', disks, put))
  return copy
}

/** The store's content stays as it is, so what a guest writes is forgotten. */
function volatile(disks: unknown): unknown {
  if (!Array.isArray(disks)) return disks
  return disks.map((disk) =>
    isObject(disk) && disk['readOnly'] !== true ? { ...disk, volatile: true } : disk,
  )
}

/** The hashes of all content that a job names, each once. */
export function hashesOf(job: Job): string[] {
  const hashes = new Set<string>()
  const note = (hash: string): string => {
    hashes.add(hash)
    return hash
  }
  if (job.definition) definitionWith(job.definition, note)
  if (job.snapshot) note(job.snapshot.hash)
  if (job.native) {
    note(job.native.hash)
    const { files = {} } = job.native as { files?: Record<string, JsonValue> }
    for (const file of Object.values(files)) if (isObject(file)) note(file['hash'] as string)
  }
  return [...hashes]
}
