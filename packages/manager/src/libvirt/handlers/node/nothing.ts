import type { Handlers } from '../call.ts'

const none = (): { num: number } => ({ num: 0 })
const noNames = (): { names: string[] } => ({ names: [] })

/**
 * What there is none of: virt-manager asks for it, and opens without complaint when it hears so.
 */
export const nothingHandlers = {
  connectNumOfNetworks: none,
  connectNumOfDefinedNetworks: none,
  connectListNetworks: noNames,
  connectListDefinedNetworks: noNames,
  connectListAllNetworks: () => ({ nets: [], ret: 0 }),
  connectNumOfStoragePools: none,
  connectNumOfDefinedStoragePools: none,
  connectListStoragePools: noNames,
  connectListDefinedStoragePools: noNames,
  connectListAllStoragePools: () => ({ pools: [], ret: 0 }),
  connectNumOfInterfaces: none,
  connectNumOfDefinedInterfaces: none,
  connectListAllInterfaces: () => ({ ifaces: [], ret: 0 }),
  nodeNumOfDevices: none,
  connectListAllNodeDevices: () => ({ devices: [], ret: 0 }),
  connectNumOfSecrets: none,
  connectListAllSecrets: () => ({ secrets: [], ret: 0 }),
  connectNumOfNwfilters: none,
  connectListAllNwfilters: () => ({ filters: [], ret: 0 }),
} satisfies Handlers
