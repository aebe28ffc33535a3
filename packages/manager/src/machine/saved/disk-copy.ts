import { constants } from 'node:fs'
import { type FileHandle, chmod, chown, copyFile, open, rm, stat, statfs } from 'node:fs/promises'
import { dirname } from 'node:path'

import { ManagerError } from '../../supervisor/errors.ts'

/** What is read at once; a part of zeros is not written, and takes no room. */
const partBytes = 1024 * 1024

const zeros = Buffer.alloc(partBytes)

/** What a copy is about. */
export interface DiskCopy {
  /** How messages call the disk, as `disks[0] (root.img)`. */
  readonly disk: string
  /** What is copied. */
  readonly from: string
  /** Where to; what is there is replaced. */
  readonly to: string
  /** Ends it between two parts. */
  readonly signal: AbortSignal
  /** Whether it is on the disk afterwards; else whoever keeps the copy sees to it. */
  readonly synced?: boolean
}

/**
 * Copies the file of a disk: on file systems that can, both share what neither has written since;
 * elsewhere byte by byte, if there is room. If it fails nothing is left: `ERR_SNAPSHOT` naming the
 * disk.
 */
export async function copyDisk(copy: DiskCopy): Promise<void> {
  const { disk, from, to } = copy
  const about = await stat(from).catch((error: unknown) => failed(disk, error))
  if (!about.isFile()) return failed(disk, new Error('it is no file, so it cannot be copied'))
  try {
    await rm(to, { force: true })
    if (!(await sharesBytes(from, to))) await copyBytes(copy)
    await chmod(to, about.mode & 0o777)
    if (about.uid !== process.geteuid?.()) await chown(to, about.uid, about.gid)
  } catch (error) {
    await rm(to, { force: true })
    return failed(disk, error)
  }
}

/** How a disk that cannot be saved or put back is told. */
export function failed(disk: string, cause: unknown): never {
  if (cause instanceof ManagerError) throw cause
  const { message } = cause as Error
  throw new ManagerError('ERR_SNAPSHOT', `${disk} cannot be copied: ${message}`, { cause })
}

async function sharesBytes(from: string, to: string): Promise<boolean> {
  return copyFile(from, to, constants.COPYFILE_FICLONE_FORCE).then(
    () => true,
    () => false,
  )
}

async function copyBytes({ disk, from, to, signal, synced }: DiskCopy): Promise<void> {
  await checkRoom(disk, from, to)
  await using source = await open(from, 'r')
  await using target = await open(to, 'w', 0o600)
  const { size } = await source.stat()
  await target.truncate(size)
  const part = Buffer.alloc(partBytes)
  for (let at = 0; at < size;) {
    signal.throwIfAborted()
    const { bytesRead } = await source.read(part, 0, partBytes, at)
    if (bytesRead === 0) break
    const bytes = part.subarray(0, bytesRead)
    if (!bytes.equals(zeros.subarray(0, bytesRead))) await writeAll(target, bytes, at)
    at += bytesRead
  }
  if (synced) await target.sync()
}

async function writeAll(target: FileHandle, bytes: Buffer, at: number): Promise<void> {
  for (let done = 0; done < bytes.length;) {
    const { bytesWritten } = await target.write(bytes, done, bytes.length - done, at + done)
    done += bytesWritten
  }
}

/** What a file takes now is what its copy will take. */
async function checkRoom(disk: string, from: string, to: string): Promise<void> {
  const { blocks } = await stat(from)
  const { bavail, bsize } = await statfs(dirname(to))
  const [wanted, there] = [blocks * 512, bavail * bsize]
  if (wanted <= there) return
  const what = `${disk} takes ${mib(wanted)} MiB, and ${dirname(to)} has room for ${mib(there)} MiB`
  throw new ManagerError('ERR_SNAPSHOT', `${what}: make room there, or use volatile: true`)
}

function mib(bytes: number): number {
  return Math.ceil(bytes / 2 ** 20)
}
