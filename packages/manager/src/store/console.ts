import { type FileHandle, open, rename } from 'node:fs/promises'
import { constants } from 'node:fs'
import { join } from 'node:path'

/** Bytes of `console.log`; when it has them it becomes `console.log.1`, in the place of that. */
export const maxConsoleBytes = 1024 * 1024

/** Bytes of the end that is kept in memory for who attaches. */
export const consoleTailBytes = 64 * 1024

/** Bytes that wait for a slow disk; more are left out of the file. */
const maxWaitingBytes = 1024 * 1024

/** How long a disk that fails is left alone. */
const retryMs = 1_000

const { O_APPEND, O_CREAT, O_NOFOLLOW, O_WRONLY, O_RDONLY, O_NONBLOCK } = constants

/** How a console's text is kept. */
export interface ConsoleOptions {
  /** Bytes after which a file is put away; default 1 MiB. */
  readonly maxBytes?: number
}

/**
 * Keeps what a machine says, in `console.log` of its folder. A disk that is full or broken costs
 * text in the file, and nothing else: no call throws or waits.
 */
export class ConsoleLog {
  readonly #path: string
  readonly #maxBytes: number
  #handle: FileHandle | undefined
  #size = 0
  #tail: Uint8Array
  #waiting: Uint8Array[] = []
  #waitingBytes = 0
  #lostBytes = 0
  #writing: Promise<void> | undefined
  #retryAt = 0
  #isClosed = false
  #failure: Error | undefined

  private constructor(folder: string, tail: Uint8Array, { maxBytes }: ConsoleOptions) {
    this.#path = join(folder, 'console.log')
    this.#tail = tail
    this.#maxBytes = maxBytes ?? maxConsoleBytes
  }

  /** Goes on where the text in the folder ends. */
  static async open(folder: string, options: ConsoleOptions = {}): Promise<ConsoleLog> {
    const tail = await readConsole(folder, consoleTailBytes).catch(() => new Uint8Array())
    return new ConsoleLog(folder, tail, options)
  }

  /** Appends what was said. The bytes are copied. */
  write(bytes: Uint8Array): void {
    if (this.#isClosed || bytes.length === 0) return
    const both = Buffer.concat([this.#tail, bytes.subarray(-consoleTailBytes)])
    this.#tail = both.subarray(-consoleTailBytes)
    if (this.#waitingBytes + bytes.length > maxWaitingBytes) {
      this.#lostBytes += bytes.length
      return
    }
    this.#waiting.push(Uint8Array.from(bytes))
    this.#waitingBytes += bytes.length
    if (performance.now() >= this.#retryAt) this.#writing ??= this.#drain()
  }

  /** The end of what was said, at most so many bytes of it. */
  tail(bytes: number = consoleTailBytes): Uint8Array {
    return bytes <= 0 ? new Uint8Array() : this.#tail.slice(-bytes)
  }

  /** Bytes that are not in the file, as the disk did not take them. */
  get lostBytes(): number {
    return this.#lostBytes
  }

  /** Why the disk did not take the last bytes. */
  get failure(): Error | undefined {
    return this.#failure
  }

  /** Resolves when all that was said is in the file, or cannot be. */
  async flush(): Promise<void> {
    this.#writing ??= this.#drain()
    await this.#writing
  }

  /** The same, and gives the descriptor back. Later text is not kept. */
  async close(): Promise<void> {
    this.#isClosed = true
    await this.flush()
    await this.#giveBack()
  }

  async #drain(): Promise<void> {
    try {
      while (this.#waiting.length > 0) await this.#writeWaiting()
      this.#failure = undefined
    } catch (error) {
      this.#failure = error as Error
      this.#retryAt = performance.now() + retryMs
      await this.#giveBack()
    } finally {
      this.#writing = undefined
    }
  }

  /** What waits is written at once, but for what is too much for this file. */
  async #writeWaiting(): Promise<void> {
    const handle = await this.#opened()
    const bytes = Buffer.concat(this.#waiting).subarray(0, this.#maxBytes - this.#size)
    const { bytesWritten } = await handle.write(bytes)
    this.#size += bytesWritten
    this.#taken(bytesWritten)
    if (this.#size < this.#maxBytes) return
    await this.#giveBack()
    await rename(this.#path, `${this.#path}.1`)
  }

  #taken(count: number): void {
    this.#waitingBytes -= count
    let left = count
    while (left > 0) {
      const [first] = this.#waiting as [Uint8Array]
      if (first.length > left) {
        this.#waiting[0] = first.subarray(left)
        return
      }
      left -= first.length
      this.#waiting.shift()
    }
  }

  /** The file, which may have been full already. */
  async #opened(): Promise<FileHandle> {
    if (this.#handle) return this.#handle
    const handle = await open(this.#path, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW, 0o600)
    this.#handle = handle
    this.#size = (await handle.stat()).size
    if (this.#size < this.#maxBytes) return handle
    await this.#giveBack()
    await rename(this.#path, `${this.#path}.1`)
    return this.#opened()
  }

  async #giveBack(): Promise<void> {
    const handle = this.#handle
    this.#handle = undefined
    await handle?.close().catch(() => undefined)
  }
}

/** The kept text in a machine's folder, at most the last `bytes` of it; none is no error. */
export async function readConsole(folder: string, bytes = Infinity): Promise<Uint8Array> {
  const path = join(folder, 'console.log')
  const last = await endOf(path, bytes)
  const before = await endOf(`${path}.1`, bytes - (last?.bytes.length ?? 0))
  // It was put away in between, and is both.
  const isSame = last !== undefined && before?.inode === last.inode
  return Buffer.concat([isSame ? none : (before?.bytes ?? none), last?.bytes ?? none])
}

const none = new Uint8Array()

async function endOf(
  path: string,
  most: number,
): Promise<{ inode: number; bytes: Uint8Array } | undefined> {
  if (most <= 0) return undefined
  let handle: FileHandle
  try {
    handle = await open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
  try {
    const { size, ino: inode } = await handle.stat()
    const bytes = Buffer.alloc(Math.min(size, most, 2 * maxConsoleBytes))
    const { bytesRead } = await handle.read(bytes, 0, bytes.length, size - bytes.length)
    return { inode, bytes: bytes.subarray(0, bytesRead) }
  } finally {
    await handle.close()
  }
}
