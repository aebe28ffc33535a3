import { randomBytes } from 'node:crypto'
import { constants } from 'node:fs'
import { copyFile, mkdir, open, rename, rm, stat, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'

import { fleetError } from '../job/error.ts'
import { type Store, absent, checkHash, hashOf, hashOfFile, unreachable } from './store.ts'

/**
 * A folder as a store, on this host or on a file system that several share: a file for each
 * content, with the hash as its name. A web server over it is what `httpStore` reads.
 *
 * @example
 * ```ts
 * import { folderStore } from '@vmexit/fleet'
 *
 * const store = folderStore('store')
 * console.log(await store.put(new TextEncoder().encode('hello'))) // sha256-2cf24dba…
 * ```
 *
 * @category Fleet
 */
export function folderStore(folder: string): Store {
  return new FolderStore(resolve(folder))
}

class FolderStore implements Store {
  readonly #folder: string

  constructor(folder: string) {
    this.#folder = folder
  }

  async put(content: Uint8Array): Promise<string> {
    return await this.#keep(hashOf(content), (path) => writeFile(path, content))
  }

  async putFile(path: string): Promise<string> {
    // Of the copy, as the file may change meanwhile.
    const aside = await this.#aside()
    try {
      await copyFile(path, aside, constants.COPYFILE_FICLONE)
      const hash = await hashOfFile(aside)
      return await this.#keep(hash, (to) => rename(aside, to))
    } finally {
      await rm(aside, { force: true })
    }
  }

  async open(hash: string, from: number): Promise<AsyncIterable<Uint8Array>> {
    const path = join(this.#folder, checkHash(hash))
    let handle
    try {
      handle = await open(path)
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException
      throw code === 'ENOENT' ? absent(hash, this.#folder) : unreachable(this.#folder, error)
    }
    if ((await handle.stat()).isFile()) return handle.createReadStream({ start: from })
    await handle.close()
    throw fleetError('ERR_PAYLOAD', `${path} is no regular file`)
  }

  close(): Promise<void> {
    return Promise.resolve()
  }

  async #keep(hash: string, write: (path: string) => Promise<void>): Promise<string> {
    const path = join(this.#folder, hash)
    const isThere = await stat(path).then(
      (found) => found.isFile(),
      () => false,
    )
    if (isThere) return hash
    const aside = await this.#aside()
    try {
      await write(aside)
      await rename(aside, path)
    } finally {
      await rm(aside, { force: true })
    }
    return hash
  }

  async #aside(): Promise<string> {
    await mkdir(this.#folder, { recursive: true })
    return join(this.#folder, `.${randomBytes(8).toString('hex')}.part`)
  }
}
