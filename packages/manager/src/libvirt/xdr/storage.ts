import { procedure } from './procedure.ts'
import { int, string, struct, text, uhyper, uint } from './shapes.ts'
import { reference } from './types.ts'

const nameText = string(1024)

/** A volume of a pool, as a client names it and as it is named to it. */
const volume = struct({ pool: nameText, name: nameText, key: text })

/** Of the files that disks are made of. */
export const storageProcedures = {
  storagePoolLookupByVolume: procedure(
    86,
    'STORAGE_POOL_LOOKUP_BY_VOLUME',
    'read',
    struct({ vol: volume }),
    struct({ pool: reference }),
  ),
  storagePoolGetInfo: procedure(
    87,
    'STORAGE_POOL_GET_INFO',
    'read',
    struct({ pool: reference }),
    struct({ state: uint, capacity: uhyper, allocation: uhyper, available: uhyper }),
  ),
  storagePoolGetXmlDesc: procedure(
    88,
    'STORAGE_POOL_GET_XML_DESC',
    'read',
    struct({ pool: reference, flags: uint }),
    struct({ xml: text }),
  ),
  storageVolLookupByPath: procedure(
    97,
    'STORAGE_VOL_LOOKUP_BY_PATH',
    'read',
    struct({ path: text }),
    struct({ vol: volume }),
  ),
  storageVolGetInfo: procedure(
    98,
    'STORAGE_VOL_GET_INFO',
    'read',
    struct({ vol: volume }),
    struct({ type: int, capacity: uhyper, allocation: uhyper }),
  ),
  storageVolGetXmlDesc: procedure(
    99,
    'STORAGE_VOL_GET_XML_DESC',
    'read',
    struct({ vol: volume, flags: uint }),
    struct({ xml: text }),
  ),
  storageVolGetPath: procedure(
    100,
    'STORAGE_VOL_GET_PATH',
    'read',
    struct({ vol: volume }),
    struct({ name: text }),
  ),
} as const
