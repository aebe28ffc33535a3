import { invalid } from '../../native/errors.ts'
import type { NativeMount } from '../../native/seam.ts'
import {
  checkBoolean,
  checkBytes,
  checkObject,
  checkPath,
  checkString,
  steady,
} from '../../options/check.ts'
import { checkShape, otherwise } from '../../options/shape.ts'

/**
 * How a process sees files of the host.
 *
 * @category Process
 */
export interface HostOptions {
  /** The process can change nothing there, default false. */
  readonly readOnly?: boolean
}

const hostShape = { readOnly: otherwise(false, checkBoolean) }

/**
 * A directory or a file of the host; `hostDirectory` and `hostFile` make it.
 *
 * @category Process
 */
export class HostFiles {
  /** Where it is on the host, absolute. */
  readonly path: string
  /** The process can change nothing there. */
  readonly readOnly: boolean

  /** @internal */
  constructor(path: unknown, options: unknown) {
    this.path = checkPath('path', path)
    this.readOnly = checkShape('options', options, hostShape, '').readOnly
  }
}

/**
 * A directory of the host, for `files`. The process opens regular files, directories and symbolic
 * links there, and nothing else (`EACCES`); links lead to where they would in its own name space.
 * It does not cross into proc, sysfs, devtmpfs and their like. The path is opened when the process
 * begins.
 *
 * @throws {VmError} `ERR_INVALID_OPTION`.
 *
 * @example
 * ```ts
 * import { execute, hostDirectory } from 'vmexit/process'
 *
 * const files = { '/': hostDirectory('/', { readOnly: true }) }
 * const { stdout } = await execute('/bin/busybox', ['ls', '-d', '/usr/lib'], { files })
 * console.log(stdout.trim()) // /usr/lib
 * ```
 *
 * @category Process
 */
export function hostDirectory(path: string | URL, options: HostOptions = {}): HostFiles {
  return new HostFiles(path, options)
}

/**
 * One file of the host, for `files`.
 *
 * @throws {VmError} `ERR_INVALID_OPTION`.
 *
 * @example
 * ```ts
 * import { execute, hostFile } from 'vmexit/process'
 *
 * const files = { '/bin/busybox': hostFile('/bin/busybox', { readOnly: true }) }
 * const { stdout } = await execute('/bin/busybox', ['uname'], { files })
 * console.log(stdout.trim()) // Linux
 * ```
 *
 * @category Process
 */
export function hostFile(path: string | URL, options: HostOptions = {}): HostFiles {
  return new HostFiles(path, options)
}

/**
 * What is in a file in memory: bytes, or text as UTF-8.
 *
 * @category Process
 */
export type Contents = Uint8Array | string

/**
 * A directory in memory; `memoryDirectory` makes it.
 *
 * @category Process
 */
export class MemoryDirectory {
  /** The files that it begins with, by their paths below it. */
  readonly files: ReadonlyMap<string, Uint8Array>

  /** @internal */
  constructor(files: unknown) {
    this.files = new Map(
      Object.entries(checkObject('files', files)).map(([path, contents]) => {
        const name = `files[${JSON.stringify(path)}]`
        if (path === '' || path.startsWith('/')) invalid(name, 'at a relative path', path)
        return [path, checkContents(name, contents)]
      }),
    )
  }
}

/**
 * A directory in memory, for `files`, with these files in it at first. Each process has its own
 * copy; `process.files` reads what it has become.
 *
 * @throws {VmError} `ERR_INVALID_OPTION`.
 *
 * @example
 * ```ts
 * import { execute, hostFile, memoryDirectory } from 'vmexit/process'
 *
 * const files = {
 *   '/bin/busybox': hostFile('/bin/busybox', { readOnly: true }),
 *   '/work': memoryDirectory({ 'a.txt': 'one\ntwo\n' }),
 * }
 * const { stdout } = await execute('/bin/busybox', ['wc', '-l', '/work/a.txt'], { files })
 * console.log(stdout.trim()) // 2 /work/a.txt
 * ```
 *
 * @category Process
 */
export function memoryDirectory(files: Readonly<Record<string, Contents>> = {}): MemoryDirectory {
  return new MemoryDirectory(files)
}

function checkContents(name: string, value: unknown): Uint8Array {
  if (typeof value === 'string') return new TextEncoder().encode(value)
  return Uint8Array.from(steady(checkBytes(name, value)))
}

/**
 * What a process finds by path: what is there, by absolute paths.
 *
 * @category Process
 */
export type Files = Readonly<Record<string, HostFiles | MemoryDirectory | Contents>>

/** The same for the native side. */
export function checkFiles(name: string, value: unknown): NativeMount[] {
  return Object.entries(checkObject(name, value)).flatMap(
    ([path, source]): NativeMount | NativeMount[] => {
      const key = `${name}[${JSON.stringify(path)}]`
      checkGuestPath(key, path)
      if (source instanceof HostFiles) return { path, host: source.path, readOnly: source.readOnly }
      if (!(source instanceof MemoryDirectory))
        return { path, bytes: checkContents(key, source), readOnly: false }
      const below = path.endsWith('/') ? path : `${path}/`
      return [
        { path, readOnly: false },
        ...[...source.files].map(([file, bytes]) => ({
          path: below + file,
          bytes,
          readOnly: false,
        })),
      ]
    },
  )
}

/** A path as the process has it. */
export function checkGuestPath(name: string, value: unknown): string {
  const path = checkString(name, value)
  if (path.startsWith('/') && !path.includes('\0')) return path
  return invalid(name, 'an absolute path', value)
}
