import { constants } from 'node:fs'
import {
  lstat,
  mkdir,
  open,
  readFile,
  readdir,
  readlink,
  rename,
  rm,
  stat,
  symlink,
  unlink,
} from 'node:fs/promises'

/** A file that is being written. */
export interface WrittenFile {
  /** Appends. */
  write(text: string): Promise<void>
  /** Resolves when it is on the disk, so that it outlives a loss of power (fsync(2)). */
  sync(): Promise<void>
  /** Gives its descriptor back. */
  close(): Promise<void>
}

/** What something in a folder is. */
interface FileStatus {
  readonly kind: 'file' | 'folder' | 'other'
  readonly bytes: number
}

/**
 * What the store does with files. Every step that a loss of power can come after is one of these,
 * so that tests can let each of them be the last.
 */
export interface FileOperations {
  /** Makes a folder of mode 0700; nothing, if it is there. */
  makeFolder(path: string): Promise<void>
  /** Makes a file of mode 0600, or empties it. */
  create(path: string): Promise<WrittenFile>
  /** Gives it another name, at which there may be a file. */
  rename(from: string, to: string): Promise<void>
  /** Makes a link that leads nowhere and holds a text, on a full disk, too; `EEXIST`. */
  mark(path: string, text: string): Promise<void>
  /** The text of such a link; undefined, if it is none. */
  readMark(path: string): Promise<string | undefined>
  /** Removes a file; nothing, if it is not there. */
  unlink(path: string): Promise<void>
  /** Removes a folder with all that is in it; nothing, if it is not there. */
  removeTree(path: string): Promise<void>
  /** Resolves when a file, or the names in a folder, are on the disk. */
  sync(path: string): Promise<void>
  /** The names in a folder, sorted; none, if it is not there. */
  list(path: string): Promise<readonly string[]>
  /** A file's text, of at most so many bytes; undefined, if it is not there. */
  read(path: string, mostBytes: number): Promise<string | undefined>
  /** What it is; undefined, if it is not there. A link is not followed. */
  status(path: string): Promise<FileStatus | undefined>
}

const { O_CREAT, O_TRUNC, O_WRONLY, O_NOFOLLOW, O_RDONLY, O_NONBLOCK } = constants

/** The file system of this host. */
export const hostFiles: FileOperations = {
  makeFolder: async (path) => {
    await mkdir(path, { mode: 0o700 }).catch(unless('EEXIST'))
  },
  create: async (path) => {
    const handle = await open(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0o600)
    return {
      write: async (text) => handle.writeFile(text),
      sync: async () => handle.sync(),
      close: async () => handle.close(),
    }
  },
  rename,
  mark: async (path, text) => symlink(text, path),
  readMark: async (path) => readlink(path).catch(() => undefined),
  unlink: async (path) => {
    await unlink(path).catch(unless('ENOENT'))
  },
  removeTree: async (path) => rm(path, { recursive: true, force: true }),
  sync: async (path) => {
    const handle = await open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK)
    try {
      await handle.sync()
    } finally {
      await handle.close()
    }
  },
  list: async (path) => (await readdir(path).catch(unless('ENOENT')))?.toSorted() ?? [],
  read: async (path, mostBytes) => {
    const found = await stat(path).catch(unless('ENOENT'))
    if (found === undefined) return undefined
    // A pipe would keep the reader waiting.
    if (!found.isFile()) throw new Error('it is no regular file')
    if (found.size > mostBytes)
      throw new Error(`it has ${found.size} bytes, more than ${mostBytes}`)
    return readFile(path, 'utf8')
  },
  status: async (path) => {
    const found = await lstat(path).catch(unless('ENOENT'))
    if (found === undefined) return undefined
    const file = found.isFile() ? 'file' : 'other'
    return { kind: found.isDirectory() ? 'folder' : file, bytes: found.size }
  },
}

function unless(code: string): (error: NodeJS.ErrnoException) => undefined {
  return (error) => {
    if (error.code === code) return undefined
    throw error
  }
}
