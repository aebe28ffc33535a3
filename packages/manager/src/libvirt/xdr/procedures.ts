import { connectProcedures } from './connect.ts'
import { deviceProcedures } from './devices.ts'
import { domainProcedures } from './domain.ts'
import { eventProcedures } from './events.ts'
import { listProcedures } from './lists.ts'
import { stateProcedures } from './state.ts'
import { storageProcedures } from './storage.ts'

/** All procedures that we have words for, by name. */
export const procedures = {
  ...connectProcedures,
  ...listProcedures,
  ...domainProcedures,
  ...stateProcedures,
  ...deviceProcedures,
  ...storageProcedures,
  ...eventProcedures,
} as const
