import { type FileHandle, open, rename } from 'node:fs/promises'
import { constants } from 'node:fs'
import { join } from 'node:path'

import { Bytes, Tail, consoleTailBytes } from './bytes.ts'

/** Bytes of `console.log`; when it has them it becomes `console.log.1`, in the place of that. */
const maxConsoleBytes = 1024 * 1024

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
  readonly #tail: Tail
  #waiting = new Bytes()
  #lostBytes = 0
  #writing: Promise<void> | undefined
  #retryAt = 0
  #isClosed = false
  #failure: Error | undefined

  private constructor(folder: string, tail: Uint8Array, { maxBytes }: ConsoleOptions) {
    this.#path = join(folder, 'console.log')
    this.#tail = new Tail(tail)
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
    this.#tail.append(bytes)
    if (this.#waiting.length + bytes.length > maxWaitingBytes) this.#lostBytes += bytes.length
    else this.#waiting.append(bytes)
    if (performance.now() >= this.#retryAt) this.#writing ??= this.#drain()
  }

  /** The end of what was said, at most so many bytes of it. */
  tail(bytes: number = consoleTailBytes): Uint8Array {
    return this.#tail.last(bytes)
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

  /** What waits; more may come to wait in the meantime. */
  async #writeWaiting(): Promise<void> {
    const bytes = this.#waiting.all()
    this.#waiting = new Bytes()
    let written = 0
    try {
      while (written < bytes.length) written += await this.#writeSome(bytes.subarray(written))
    } catch (error) {
      const later = this.#waiting.all()
      this.#waiting = new Bytes()
      this.#waiting.append(bytes.subarray(written))
      this.#waiting.append(later)
      throw error
    }
  }

  /** What there is room for in this file. */
  async #writeSome(bytes: Uint8Array): Promise<number> {
    const handle = await this.#opened()
    const { bytesWritten } = await handle.write(bytes, 0, Math.min(bytes.length, this.#room()))
    this.#size += bytesWritten
    if (this.#room() === 0) await this.#putAway()
    return bytesWritten
  }

  #room(): number {
    return Math.max(0, this.#maxBytes - this.#size)
  }

  async #putAway(): Promise<void> {
    await this.#giveBack()
    await rename(this.#path, `${this.#path}.1`)
  }

  /** The file, which may have been full already. */
  async #opened(): Promise<FileHandle> {
    if (this.#handle) return this.#handle
    const handle = await open(this.#path, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW, 0o600)
    this.#handle = handle
    this.#size = (await handle.stat()).size
    if (this.#room() > 0) return handle
    await this.#putAway()
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
  const most = bytes > 0 ? Math.floor(bytes) : 0
  const last = await endOf(path, most)
  const before = await endOf(`${path}.1`, most - (last?.bytes.length ?? 0))
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
