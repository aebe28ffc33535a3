import { checkGuestPath } from './files.ts'
import type { ProcessMachine } from './machine.ts'

/**
 * A name in a directory of a process.
 *
 * @category Process
 */
export interface DirectoryEntry {
  /** Without a slash; what is no UTF-8 in it is replaced. */
  readonly name: string
  /** What has that name. */
  readonly kind: 'directory' | 'file' | 'link' | 'other'
}

/**
 * What a process finds by path, as it has left it: before its end only where it stands still
 * (`ERR_VM_BUSY`), and until `close()`.
 *
 * @example
 * ```ts
 * import { Process, hostFile, memoryDirectory } from 'vmexit/process'
 *
 * const files = {
 *   '/bin/busybox': hostFile('/bin/busybox', { readOnly: true }),
 *   '/out': memoryDirectory(),
 * }
 * using p = new Process('/bin/busybox', { args: ['cp', '/proc/filesystems', '/out/a'], files })
 * await p.exited
 * console.log(p.files.list('/out')[0]) // { name: 'a', kind: 'file' }
 * console.log(p.files.read('/out/a').length > 0) // true
 * ```
 *
 * @category Process
 */
export class ProcessFiles {
  readonly #machine: ProcessMachine

  /** @internal */
  constructor(machine: ProcessMachine) {
    this.#machine = machine
  }

  /**
   * All bytes of a file.
   *
   * @throws {VmError} `ERR_PAYLOAD` if there is none; `ERR_INVALID_OPTION`, `ERR_VM_BUSY`,
   * `ERR_VM_CLOSED`.
   *
   * @example
   * ```ts
   * import { Process, hostFile, memoryDirectory } from 'vmexit/process'
   *
   * const files = {
   *   '/bin/busybox': hostFile('/bin/busybox', { readOnly: true }),
   *   '/out': memoryDirectory({ a: 'text' }),
   * }
   * using p = new Process('/bin/busybox', { args: ['cp', '/out/a', '/out/b'], files })
   * await p.exited
   * console.log(String(p.files.read('/out/b'))) // text
   * ```
   */
  read(path: string): Buffer {
    return Buffer.from(this.#machine.file(checkGuestPath('path', path)).buffer)
  }

  /**
   * What is in a directory, without `.` and `..`.
   *
   * @throws {VmError} `ERR_PAYLOAD` if there is none; `ERR_INVALID_OPTION`, `ERR_VM_BUSY`,
   * `ERR_VM_CLOSED`.
   *
   * @example
   * ```ts
   * import { Process, hostFile, memoryDirectory } from 'vmexit/process'
   *
   * const files = {
   *   '/bin/busybox': hostFile('/bin/busybox', { readOnly: true }),
   *   '/out': memoryDirectory({ a: 'text' }),
   * }
   * using p = new Process('/bin/busybox', { args: ['mkdir', '/out/b'], files })
   * await p.exited
   * const names = p.files.list('/out').map(({ name, kind }) => `${name}: ${kind}`)
   * console.log(names) // [ 'a: file', 'b: directory' ]
   * ```
   */
  list(path: string): DirectoryEntry[] {
    const entries = this.#machine.list(checkGuestPath('path', path))
    return entries.filter(({ name }) => name !== '.' && name !== '..')
  }
}
