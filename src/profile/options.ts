import { checkBytes, checkMilliseconds, checkObject } from '../options/check.ts'
import { fail, invalid } from '../native/errors.ts'
import { native } from '../native/native.ts'
import { Symbols } from '../debug/symbols.ts'
import { type RunOptions, runKeys } from '../options/run-options.ts'
import { isSignal } from '../options/signal.ts'
import type { ProfileNamer } from './names.ts'

/**
 * Options of `profile`: those of `run`, which count for an idle machine, and its own.
 *
 * @category Debugging
 */
export interface ProfileOptions extends RunOptions {
  /**
   * Samples of each vCPU in a second, 1 to 1000. Default: 99, which keeps out of step with timers
   * of a guest that tick 100 times a second.
   */
  hz?: number
  /**
   * What names addresses: an ELF image such as `vmlinux`, or a function, which may return
   * `undefined` for an address that it does not know. Default: the ELF image that the machine was
   * made with.
   */
  symbols?: Uint8Array | ProfileNamer
  /**
   * Of a run that is under way: how long it is sampled, in milliseconds. Default: until the run
   * ends.
   */
  durationMs?: number
}

/** The options of `profile`, checked. */
export interface CheckedProfile {
  readonly hz: number
  readonly namer: ProfileNamer
  readonly durationMs: number | undefined
  readonly signal: AbortSignal | undefined
  /** For a run. */
  readonly run: RunOptions
}

const defaultHz = 99
/** For a run that is under way. */
const ownKeys = ['hz', 'symbols', 'durationMs', 'signal']
const allKeys = [...new Set([...ownKeys, ...runKeys])]
const { maxTimeoutMs } = native.limits()

/** Checks them, for a machine that runs or not; the core checks the rate, and a run its own. */
export function checkProfile(value: unknown, isRunning: boolean, own: Symbols): CheckedProfile {
  const given = checkObject('options', value === undefined ? {} : value)
  const { hz = defaultHz, symbols, durationMs, ...run } = given
  if (typeof hz !== 'number') return invalid('hz', 'a number', hz)
  checkKeysOf(given, isRunning)
  const { signal } = run
  if (isRunning && signal !== undefined && !isSignal(signal))
    return invalid('signal', 'an AbortSignal', signal)
  return {
    hz,
    namer: namerOf(symbols, own),
    durationMs:
      durationMs === undefined
        ? undefined
        : checkMilliseconds('durationMs', durationMs, maxTimeoutMs),
    signal: signal as AbortSignal | undefined,
    run,
  }
}

function checkKeysOf(given: object, isRunning: boolean): void {
  for (const key of Object.keys(given)) {
    const isOfRun = runKeys.includes(key)
    if (!isOfRun && !ownKeys.includes(key))
      invalid('options', `made of ${allKeys.join(', ')}`, `unknown '${key}'`)
    if (isRunning && !ownKeys.includes(key))
      fail('ERR_INVALID_OPTION', `${key} is of a run, and one is under way; use durationMs`)
    if (!isRunning && key === 'durationMs')
      fail('ERR_INVALID_OPTION', 'durationMs is for a run under way; use timeoutMs for a new one')
  }
}

function namerOf(symbols: unknown, own: Symbols): ProfileNamer {
  if (symbols === undefined) return own.symbolOf
  if (typeof symbols === 'function') return symbols as ProfileNamer
  return Symbols.of(checkBytes('symbols', symbols)).symbolOf
}
