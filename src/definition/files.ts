import { constants } from 'node:fs'
import { type FileHandle, open, stat } from 'node:fs/promises'

import { type ErrorCode, VmError, fail, raise } from '../native/errors.ts'
import { native } from '../native/native.ts'

/** What one definition's files may have together. */
const maxFileBytes = native.limits().maxReadBytes

const { O_RDONLY, O_NONBLOCK, O_NOCTTY } = constants

/**
 * Reads the files of one definition. A file that is none, such as a pipe or a device, is refused
 * and not waited for.
 */
export class Files {
  #left = maxFileBytes

  /** All bytes of a file, of which there is at least one; `name` is what messages call it. */
  async read(path: string, name: string): Promise<Uint8Array> {
    // Before it is opened: opening a device may do something.
    await checkFile(path, name)
    const handle = await attempt(name, 'ERR_PAYLOAD', () =>
      open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY),
    )
    try {
      // Again: the path may lead elsewhere by now.
      const bytes = refuseSpecial(await handle.stat(), path, name)
      if (bytes > this.#left) return tooLarge(path, name, bytes)
      this.#left -= bytes
      return await attempt(name, 'ERR_PAYLOAD', () => contentOf(handle, bytes))
    } finally {
      await handle.close()
    }
  }
}

/** Refuses what is no file. */
export async function checkFile(
  path: string,
  name: string,
  code: ErrorCode = 'ERR_PAYLOAD',
): Promise<void> {
  refuseSpecial(await attempt(name, code, () => stat(path)), path, name, code)
}

function refuseSpecial(
  found: { isFile(): boolean; size: number },
  path: string,
  name: string,
  code: ErrorCode = 'ERR_PAYLOAD',
): number {
  if (!found.isFile()) return fail(code, `cannot read ${name}: '${path}' is no regular file`)
  if (found.size === 0) return fail(code, `${name} must not be empty: '${path}'`)
  return found.size
}

function tooLarge(path: string, name: string, bytes: number): never {
  const most = `${maxFileBytes} bytes in all files of a definition`
  return fail('ERR_LIMIT', `${name}: at most ${most}, '${path}' has ${bytes}`)
}

/** As many bytes as there were; fewer, if the file has become shorter. */
async function contentOf(handle: FileHandle, bytes: number): Promise<Uint8Array> {
  const content = new Uint8Array(bytes)
  let filled = 0
  while (filled < bytes) {
    const { bytesRead } = await handle.read(content, filled, bytes - filled)
    if (bytesRead === 0) break
    filled += bytesRead
  }
  return content.subarray(0, filled)
}

async function attempt<T>(name: string, code: ErrorCode, act: () => Promise<T>): Promise<T> {
  try {
    return await act()
  } catch (error) {
    const { message, errno, syscall: call } = error as NodeJS.ErrnoException
    const details = { call, cause: error, ...(errno !== undefined && { errno: -errno }) }
    return raise(new VmError(code, `cannot read ${name}: ${message}`, details))
  }
}
