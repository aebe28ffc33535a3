import { copyFileSync, fstatSync, ftruncateSync, readlinkSync } from 'node:fs'

/** Bytes of the file; when it would have more it becomes `process.log.1`, in the place of that. */
const maxBytes = 1024 * 1024
const descriptor = 2

type Write = typeof process.stderr.write

/**
 * Keeps the file short that standard error goes to: what runs here may complain for months. Nothing
 * is done where it is no file. It has to be open for appending.
 */
export function keepComplaintsShort(): void {
  const found = fstatSync(descriptor)
  if (!found.isFile()) return
  let size = found.size
  const write = process.stderr.write.bind(process.stderr) as (
    bytes: Uint8Array,
    done?: unknown,
  ) => boolean
  const bounded = (chunk: string | Uint8Array, encoding?: unknown, done?: unknown): boolean => {
    const given = typeof encoding === 'string' ? (encoding as BufferEncoding) : 'utf8'
    const all = typeof chunk === 'string' ? Buffer.from(chunk, given) : chunk
    const bytes = all.subarray(-maxBytes)
    if (size + bytes.length > maxBytes) {
      putAway()
      size = 0
    }
    size += bytes.length
    return write(bytes, typeof encoding === 'function' ? encoding : done)
  }
  process.stderr.write = bounded as Write
}

/** What cannot be put away is not kept. */
function putAway(): void {
  try {
    const path = readlinkSync(`/proc/self/fd/${descriptor}`)
    copyFileSync(path, `${path}.1`)
  } catch {
    // It was removed, or the disk is full.
  }
  ftruncateSync(descriptor, 0)
}
