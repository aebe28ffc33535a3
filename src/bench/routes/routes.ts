import { loopRoutes } from './loops.ts'
import { machineRoutes } from './machine-routes.ts'
import { nativeRoutes } from './native-routes.ts'
import { processRoutes } from './process-routes.ts'
import { profileRoute } from './profile-route.ts'
import type { BenchRoute } from './route.ts'
import { stateRoutes } from './state-routes.ts'
import { StepRoute } from './step-route.ts'

/** In the order of the tables. */
export const benchRoutes: readonly BenchRoute[] = [
  ...loopRoutes,
  ...machineRoutes,
  new StepRoute(),
  ...nativeRoutes,
  ...processRoutes,
  ...stateRoutes,
  profileRoute,
]
