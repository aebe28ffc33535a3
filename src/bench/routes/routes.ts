import { loopRoutes } from './loops.ts'
import { machineRoutes } from './machine-routes.ts'
import { profileRoute } from './profile-route.ts'
import type { BenchRoute } from './route.ts'
import { stateRoutes } from './state-routes.ts'

/** In the order of the tables. */
export const benchRoutes: readonly BenchRoute[] = [
  ...loopRoutes,
  ...machineRoutes,
  ...stateRoutes,
  profileRoute,
]
