import { constants } from 'node:fs'
import { type FileHandle, open, realpath, rename, stat, unlink } from 'node:fs/promises'
import { dirname, extname, join } from 'node:path'

import { VmError, fail, raise } from '../native/errors.ts'
import { headerBytes, mostBytes, recordsOf } from './binary.ts'
import { type TraceFormat, writers } from './formats.ts'
import type { Records } from './record.ts'

const endings: Record<string, TraceFormat> = {
  '.json': 'chrome',
  '.jsonl': 'jsonl',
  '.bin': 'binary',
  '.trace': 'binary',
}

/** The format that a file's ending stands for. */
export function formatOf(path: string): TraceFormat | undefined {
  return endings[extname(path).toLowerCase()]
}

/** Of the files that are being written the number. */
let asides = 0

/**
 * Writes a file whole: aside, and renamed when all of it is on the disk. What is a device or a pipe
 * stays one, and is written to.
 */
export async function writeTrace(
  path: string,
  records: Records,
  format: TraceFormat,
): Promise<void> {
  try {
    const place = await placeOf(path)
    const pieces = writers[format](records)
    if (place) await replace(place, pieces)
    else await fill(await open(path, constants.O_WRONLY), pieces)
  } catch (error) {
    raise(failed('write', path, error))
  }
}

/** The file that is to be replaced, at the end of all links; nothing for what is no file. */
async function placeOf(path: string): Promise<string | undefined> {
  const found = await stat(path).catch(() => undefined)
  if (!found) return path
  return found.isFile() ? await realpath(path) : undefined
}

async function replace(path: string, pieces: Iterable<string | Uint8Array>): Promise<void> {
  const aside = join(dirname(path), `.vmexit-${process.pid}-${(asides += 1)}.tmp`)
  const file = await open(aside, 'wx')
  try {
    await fill(file, pieces, () => file.sync())
    await rename(aside, path)
  } catch (error) {
    await unlink(aside)
    raise(error)
  }
}

async function fill(
  file: FileHandle,
  pieces: Iterable<string | Uint8Array>,
  finish?: () => Promise<void>,
): Promise<void> {
  try {
    for (const piece of pieces) await file.writeFile(piece)
    await finish?.()
  } finally {
    await file.close()
  }
}

/** Reads a file of the format `'binary'`. */
export async function readRecords(path: string): Promise<Records> {
  let bytes: Uint8Array
  try {
    // A pipe that has no writer would be waited for.
    const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK)
    try {
      bytes = await contentOf(file, path)
    } finally {
      await file.close()
    }
  } catch (error) {
    return raise(error instanceof VmError ? error : failed('read', path, error))
  }
  return await recordsOf(bytes, path)
}

async function contentOf(file: FileHandle, path: string): Promise<Uint8Array> {
  const stats = await file.stat()
  if (!stats.isFile()) return fail('ERR_INVALID_OPTION', `${path} is no file`)
  if (stats.size > headerBytes + mostBytes)
    return fail('ERR_LIMIT', `${path}: a trace has at most ${mostBytes} bytes, got ${stats.size}`)
  return await file.readFile()
}

function failed(what: string, path: string, cause: unknown): VmError {
  const { message, syscall, errno } = cause as NodeJS.ErrnoException
  return new VmError('ERR_INVALID_OPTION', `cannot ${what} the trace ${path}: ${message}`, {
    call: syscall,
    errno: errno === undefined ? undefined : Math.abs(errno),
    cause,
  })
}
