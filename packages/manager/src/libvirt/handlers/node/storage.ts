import { stat } from 'node:fs/promises'
import { isAbsolute } from 'node:path'

import { fail } from '../../errors.ts'
import { poolXml, volumeXml, type DiskFile } from '../../xml/storage.ts'
import type { Handlers } from '../call.ts'

/** `VIR_ERR_NO_STORAGE_VOL`, and that the error comes from the part of storage. */
const [noVolume, fromStorage] = [50, 18]

/** The unit of `stat`'s blocks. */
const blockBytes = 512n

/** The pool of all files, which is in no list: clients ask for the pool of a volume. */
const pool = { name: 'files', uuid: '00000000-0000-0000-0000-000000000001' } as const

/** `virStorageVolType`, and a pool that runs. */
const TYPE = { file: 0, block: 1 } as const
const running = 2

async function fileOf(path: string): Promise<DiskFile> {
  const found = isAbsolute(path)
    ? await stat(path, { bigint: true }).catch(() => undefined)
    : undefined
  const isBlock = found?.isBlockDevice() === true
  if (found === undefined || !(found.isFile() || isBlock)) {
    return fail(noVolume, `no file and no block device is at '${path}'`, fromStorage)
  }
  return { path, isBlock, capacity: found.size, allocation: found.blocks * blockBytes }
}

/**
 * Files as volumes of one pool. virt-install looks every disk up by its path, and would otherwise
 * make a pool of the folder; nothing here makes, changes or lists a file.
 */
export const storageHandlers = {
  storageVolLookupByPath: async (_connection, { path }) => {
    await fileOf(path)
    return { vol: { pool: pool.name, name: path, key: path } }
  },
  storageVolGetInfo: async (_connection, { vol }) => {
    const { isBlock, capacity, allocation } = await fileOf(vol.key)
    return { type: isBlock ? TYPE.block : TYPE.file, capacity, allocation }
  },
  storageVolGetXmlDesc: async (_connection, { vol }) => ({
    xml: volumeXml(await fileOf(vol.key)),
  }),
  storageVolGetPath: (_connection, { vol }) => ({ name: vol.key }),
  storagePoolLookupByVolume: () => ({ pool }),
  storagePoolGetInfo: () => ({ state: running, capacity: 0n, allocation: 0n, available: 0n }),
  storagePoolGetXmlDesc: () => ({ xml: poolXml(pool) }),
} satisfies Handlers
