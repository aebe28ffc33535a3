import { isAbsolute, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'

import { checkArray, checkBoolean, checkFunction, checkKeys, checkObject } from '../check.ts'
import { invalid } from '../../native/errors.ts'
import { native } from '../../native/native.ts'
import type { NativeDisk } from '../../native/seam.ts'
import { checkShape, otherwise, required } from '../shape.ts'

/**
 * What stands behind a disk in TypeScript: it gets reads, writes and flushes, several at a time,
 * and answers each in its own time. It needs `run()`.
 *
 * What a method throws or rejects with is an I/O error in the guest, and nothing else happens. A
 * promise that never settles leaves that one request open; `stop()`, `pause()` and `close()` do not
 * wait for it.
 *
 * @example
 * ```ts
 * const sectors = new Map<number, Uint8Array>()
 * const device: DiskDevice = {
 *   bytes: 1 << 20,
 *   read: (offset, into) => {
 *     for (let at = 0; at < into.length; at += 512) {
 *       const sector = sectors.get(offset + at)
 *       if (sector) into.set(sector, at)
 *     }
 *   },
 *   write: (offset, bytes) => {
 *     for (let at = 0; at < bytes.length; at += 512) {
 *       sectors.set(offset + at, bytes.slice(at, at + 512))
 *     }
 *   },
 * }
 * using vm = new VirtualMachine({
 *   mode: 'real',
 *   pc: true,
 *   disks: [{ device }],
 *   payload: guests.hello,
 *   routes: [{ port: 0xe9, to: 'console' }],
 * })
 * console.log((await vm.run({ timeoutMs: 200 })).outputText) // Hello, world!
 * ```
 *
 * @category Devices
 */
export interface DiskDevice {
  /** The size of the disk, a multiple of 512. */
  readonly bytes: number
  /** Whether the guest is told that it cannot write. Default: whether there is no `write`. */
  readonly readOnly?: boolean
  /**
   * Fills `into` with the disk's bytes from `offset` on; both are multiples of 512. What it returns
   * may say how much that was, as a number or as `bytesRead` of an object: less than all is an
   * error. It may also return a `Uint8Array` of that length, which counts in the place of `into`.
   *
   * @example
   * ```ts
   * import { open } from 'node:fs/promises'
   *
   * await using handle = await open('/dev/zero')
   * const device = {
   *   bytes: 1 << 20,
   *   read: (offset: number, into: Uint8Array) => handle.read(into, 0, into.length, offset),
   * }
   * const into = new Uint8Array(512)
   * console.log((await device.read(0, into)).bytesRead) // 512
   * ```
   */
  read(offset: number, into: Uint8Array): unknown
  /**
   * Stores bytes from `offset` on; they are its own. What it returns may say how many were stored,
   * as a number or as `bytesWritten` of an object: less than all is an error. After it is answered
   * the guest takes them for written, and only after the next `flush` for lasting.
   *
   * @example
   * ```ts
   * const content = new Uint8Array(1 << 20)
   * const device: DiskDevice = {
   *   bytes: content.length,
   *   read: (offset, into) => into.set(content.subarray(offset, offset + into.length)),
   *   write: (offset, bytes) => content.set(bytes, offset),
   * }
   * device.write?.(512, Uint8Array.of(1))
   * console.log(content[512]) // 1
   * ```
   */
  write?(offset: number, bytes: Uint8Array): unknown
  /**
   * Makes everything last that was written before. Default: nothing is to be done.
   *
   * @example
   * ```ts
   * let flushes = 0
   * const device: DiskDevice = { bytes: 512, read: () => undefined, flush: () => flushes++ }
   * device.flush?.()
   * console.log(flushes) // 1
   * ```
   */
  flush?(): unknown
}

/**
 * A disk whose bytes are a file's: an image without a header, or a block device.
 *
 * @category Devices
 */
export interface FileDisk {
  /** Its path; the size is a multiple of 512. A file that is written is locked (flock(2)). */
  file: string | URL
  /** Whether the guest cannot write. Default false. */
  readOnly?: boolean
  /**
   * Whether the guest's writes stay in this process's memory, so that the file is only read. They
   * are part of snapshots. Default false.
   */
  volatile?: boolean
}

/**
 * A disk that is answered in TypeScript.
 *
 * @category Devices
 */
export interface DeviceDisk {
  /** What answers. */
  device: DiskDevice
}

/**
 * A virtio disk: `/dev/vda` is the first.
 *
 * @category Devices
 */
export type Disk = FileDisk | DeviceDisk

/** A disk's part for the native side, and what answers it here. */
export type CheckedDisk = [NativeDisk, DiskDevice | undefined]

const { maxDisks } = native.limits()

const fileShape = {
  file: required(checkFile),
  readOnly: otherwise(false, checkBoolean),
  volatile: otherwise(false, checkBoolean),
}

/** The key `disks` of every shape that has one. */
export const disksKey = otherwise<CheckedDisk[]>([], (name, value) =>
  checkArray(name, value, maxDisks, checkDisk),
)

/** The key `disks` beside a snapshot: by their places, and what is left out stays. */
export const otherDisksKey = otherwise<(CheckedDisk | undefined)[]>([], (name, value) =>
  checkArray(name, value, maxDisks, (item, at) =>
    item === undefined || item === null ? undefined : checkDisk(item, at),
  ),
)

/** Checks one disk; what its file is, is the core's business. */
function checkDisk(value: unknown, name: string): CheckedDisk {
  const disk = checkObject(name, value)
  const { file, device } = disk
  if ((file === undefined) === (device === undefined)) {
    const got = file === undefined ? 'neither' : 'both'
    return invalid(name, 'given exactly one of file and device', got)
  }
  if (file !== undefined) return [checkShape(name, disk, fileShape), undefined]
  checkKeys(name, disk, ['device'])
  return checkDevice(`${name}.device`, device)
}

function checkDevice(name: string, value: unknown): CheckedDisk {
  if (typeof value !== 'object' || value === null)
    return invalid(name, 'an object with bytes and read', value)
  const { bytes, readOnly, read, write, flush } = value as DiskDevice
  if (typeof bytes !== 'number' || !Number.isSafeInteger(bytes) || bytes <= 0 || bytes % 512 !== 0)
    return invalid(`${name}.bytes`, 'a multiple of 512 above 0', bytes)
  if (read === undefined) return invalid(`${name}.read`, 'a function', read)
  checkFunction(`${name}.read`, read)
  checkFunction(`${name}.write`, write)
  checkFunction(`${name}.flush`, flush)
  const isReadOnly = readOnly === undefined ? !write : checkBoolean(`${name}.readOnly`, readOnly)
  if (!write && !isReadOnly) return invalid(`${name}.write`, 'a function unless readOnly', write)
  return [{ bytes, readOnly: isReadOnly, volatile: false }, value as DiskDevice]
}

function checkFile(name: string, value: unknown): string {
  if (value instanceof URL && value.protocol === 'file:') return fileURLToPath(value)
  if (typeof value !== 'string' || value === '' || value.includes('\0'))
    return invalid(name, 'a path or a file: URL', value)
  return isAbsolute(value) ? value : resolve(value)
}
