import { MachineRuns } from './machine-runs.ts'

/** What looks into a machine as it runs. */
export abstract class MachineDebug extends MachineRuns {}
