import { constants } from 'node:fs'
import { type FileHandle, open, rename, unlink } from 'node:fs/promises'
import { basename, dirname, extname, join } from 'node:path'

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

/** Writes a file whole: aside, and renamed when all of it is on the disk. */
export async function writeTrace(
  path: string,
  records: Records,
  format: TraceFormat,
): Promise<void> {
  const name = `.${basename(path)}.${process.pid}-${(asides += 1)}.tmp`
  const aside = join(dirname(path), name)
  try {
    const file = await open(aside, 'wx')
    try {
      await fill(file, writers[format](records))
      await rename(aside, path)
    } catch (error) {
      await unlink(aside)
      raise(error)
    }
  } catch (error) {
    raise(failed('write', path, error))
  }
}

async function fill(file: FileHandle, pieces: Iterable<string | Uint8Array>): Promise<void> {
  try {
    for (const piece of pieces) await file.writeFile(piece)
    await file.sync()
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
