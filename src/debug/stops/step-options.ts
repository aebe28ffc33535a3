import type { Registers } from '../../results/registers.ts'
import { fail } from '../../native/errors.ts'
import { checkFunction, checkInteger, checkObject } from '../../options/check.ts'
import {
  type CheckedRun,
  type RunOptions,
  type RunSyncOptions,
  checkInstructions,
  checkRunOptions,
  checkRunSyncOptions,
} from '../../options/run-options.ts'

/** What the options of `step` and `stepSync` have in common. */
interface Stepping {
  /** How many instructions; default 1, without end if there is `until`. */
  count?: number
  /** Index of the vCPU that executes them, while the others stand still; default 0. */
  vcpu?: number
}

/**
 * Options of `stepSync`.
 *
 * @category Debugging
 */
export interface StepSyncOptions
  extends Omit<RunSyncOptions, 'maxInstructions' | 'registers'>, Stepping {
  /** Asked after each instruction: `true` ends the run there. */
  until?: (registers: Registers) => boolean
}

/**
 * Options of `step`.
 *
 * @category Debugging
 */
export interface StepOptions extends Omit<RunOptions, 'maxInstructions' | 'registers'>, Stepping {
  /**
   * Asked after each instruction: `true` ends the run there. It may return a promise, for which the
   * vCPU waits.
   */
  until?: (registers: Registers) => boolean | PromiseLike<boolean>
}

/** Checks the options of `stepSync`, for a machine with so many vCPUs. */
export function checkStepSyncOptions(value: unknown, vcpus: number): CheckedRun {
  return checkSteps(value, vcpus, checkRunSyncOptions)
}

/** Checks the options of `step`. */
export function checkStepOptions(value: unknown, vcpus: number): CheckedRun {
  return checkSteps(value, vcpus, checkRunOptions)
}

function checkSteps(
  value: unknown,
  vcpus: number,
  checkRun: (value: unknown) => CheckedRun,
): CheckedRun {
  const {
    count,
    until,
    vcpu = 0,
    ...others
  } = checkObject('options', value === undefined ? {} : value)
  checkFunction('until', until)
  if (others['maxInstructions'] !== undefined)
    return fail('ERR_INVALID_OPTION', 'a step has count, and no maxInstructions')
  const most = until === undefined ? 1 : Number.MAX_SAFE_INTEGER
  return {
    ...checkRun(others),
    instructions: count === undefined ? most : checkInstructions('count', count),
    stepped: checkInteger('vcpu', vcpu, 0, vcpus - 1),
    until: until as StepOptions['until'],
  }
}
