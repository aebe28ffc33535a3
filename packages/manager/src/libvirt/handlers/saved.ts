import { ERROR, fail } from '../errors.ts'
import type { Handlers } from './call.ts'
import { activeOf, checkFlags, machineOf } from './machines.ts'

/** `VIR_DOMAIN_SAVE_BYPASS_CACHE`: how files are written is our business. */
const bypassCache = 1

/** The state with which a machine's next start goes on. */
export const savedHandlers = {
  domainManagedSave: async ({ supervisor }, { dom, flags }) => {
    checkFlags(flags, bypassCache)
    await supervisor.save(activeOf(supervisor, dom).name)
  },
  domainHasManagedSaveImage: ({ supervisor }, { dom, flags }) => {
    checkFlags(flags, 0)
    return { result: machineOf(supervisor, dom).saved ? 1 : 0 }
  },
  domainManagedSaveRemove: async ({ supervisor }, { dom, flags }) => {
    checkFlags(flags, 0)
    const { name, saved } = machineOf(supervisor, dom)
    if (!saved) fail(ERROR.operationInvalid, `${name} has no saved state`)
    await supervisor.removeSaved(name)
  },
} satisfies Handlers
