import { checkBoolean, checkFunction, checkMilliseconds } from './check.ts'
import { invalid } from '../native/errors.ts'
import { native } from '../native/native.ts'
import type { NativeRunLimits } from '../native/seam.ts'
import type { AccessExit } from '../results/exit.ts'
import { checkShape, optional } from './shape.ts'
import { isSignal } from './signal.ts'

/**
 * What `onExit` returns: the value of a read, for every item, or all its bytes, size times count;
 * `false` to end the run there. After a write nothing else matters.
 */
export type ExitAnswer = number | bigint | Uint8Array | false | void

/** Options of `runSync`. */
export interface RunSyncOptions extends Omit<NativeRunLimits, 'tickMs'> {
  /**
   * Called for every port or MMIO exit that no route claims. Default: such an exit ends the run.
   *
   * @example
   * ```ts
   * using vm = new VirtualMachine({ mode: 'long', payload: guests.hello })
   * let text = ''
   * vm.runSync({
   *   onExit(exit) {
   *     if (exit.reason !== 'pio-out' || exit.port !== 0xe9) return false
   *     text += String.fromCharCode(...exit.data)
   *     return undefined
   *   },
   * })
   * console.log(text) // Hello, world!
   * ```
   */
  onExit?: (exit: AccessExit) => ExitAnswer
}

/** Options of `run`. */
export interface RunOptions extends Omit<RunSyncOptions, 'onExit'> {
  /** As in `RunSyncOptions`; it may return a promise, for which the vCPU waits. */
  onExit?: (exit: AccessExit) => ExitAnswer | PromiseLike<ExitAnswer>
  /** Aborting it ends the run and rejects with its reason; the machine stays usable. */
  signal?: AbortSignal
}

const { maxTimeoutMs } = native.limits()

/** The options of `runSync`. What is neither a function nor a signal goes to the native side. */
const syncShape = {
  timeoutMs: optional((name, value) => checkMilliseconds(name, value, maxTimeoutMs)),
  onExit: optional((name, value) => {
    checkFunction(name, value)
    return value as NonNullable<RunOptions['onExit']>
  }),
  timeKvmRun: optional(checkBoolean),
}

/** Those of `run`. */
const shape = {
  ...syncShape,
  signal: optional((name, value) =>
    isSignal(value) ? value : invalid(name, 'an AbortSignal', value),
  ),
}

/** The options of a run, checked. */
export interface CheckedRun {
  readonly limits: NativeRunLimits
  readonly onExit: RunOptions['onExit']
  readonly signal: AbortSignal | undefined
}

/** Checks the options of `runSync`. */
export function checkRunSyncOptions(value: unknown): CheckedRun {
  const { onExit, ...limits } = checkShape(
    'options',
    value === undefined ? {} : value,
    syncShape,
    '',
  )
  return { limits, onExit, signal: undefined }
}

/** Checks the options of `run`. */
export function checkRunOptions(value: unknown): CheckedRun {
  const { onExit, signal, ...limits } = checkShape(
    'options',
    value === undefined ? {} : value,
    shape,
    '',
  )
  return { limits, onExit, signal }
}
