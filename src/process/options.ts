import { fail } from '../native/errors.ts'
import { native } from '../native/native.ts'
import {
  checkFunction,
  checkInteger,
  checkMilliseconds,
  checkObject,
  checkWord,
} from '../options/check.ts'
import { checkShape, optional, otherwise } from '../options/shape.ts'
import type { OutputHandler } from './system-calls.ts'
import type { ImportOf } from './values/typed.ts'

/**
 * How a library is made, what it may call, and for how long.
 *
 * @category Process
 */
export interface InstantiateOptions<
  E extends Record<string, string> = Record<string, string>,
  I extends Record<string, string> = Record<string, string>,
> {
  /**
   * The functions that can be called, by name, each with its signature: `'i32(ptr, usize)'` or
   * `'int(const void *, size_t)'`. A variadic function has the types that it is called with.
   * Default: those that the image declares by `VMEXIT_EXPORT`.
   */
  readonly exports?: E
  /**
   * What the image declares by `VMEXIT_IMPORT`: a function, or an array of a signature and a
   * function. It may return a promise to calls through `lib.async`.
   */
  readonly imports?: { readonly [K in keyof I]: ImportOf<I[K]> }
  /**
   * How long each call may take, imports included, before it is a `GuestTimeout`; the start has at
   * least 5 s, as it is done once and waits for the event loop. Default: for ever.
   */
  readonly timeoutMs?: number
  /** All memory that the library can have, default 64 MiB; committed as it is used. */
  readonly memoryBytes?: number
  /**
   * `'exit'`, the default: between calls the vCPU is idle. `'spin'`: it waits for the next one on a
   * core of its own, so that a call needs no exit. What else is done between two calls
   * (`lib.memory`, `lib.async`, texts as arguments) stops it, and the next call starts it again.
   */
  readonly calls?: 'exit' | 'spin'
  /** How long a spinning vCPU waits after a call, default 1 ms. */
  readonly spinMs?: number
  /** Gets what the library writes to its standard output and error, which is else dropped. */
  readonly onOutput?: OutputHandler
}

const { maxTimeoutMs } = native.limits()
const MAX_SPIN_MS = 1000
const DEFAULT_SPIN_MS = 1
/** The engine's own pages, a stack and a small program have room there. */
const LEAST_MEMORY_BYTES = 1 << 20
const MAX_MEMORY_BYTES = 2 ** 40

const shape = {
  exports: optional((name, value) => checkObject(name, value)),
  imports: optional((name, value) => checkObject(name, value)),
  timeoutMs: optional((name, value) => checkMilliseconds(name, value, maxTimeoutMs)),
  memoryBytes: otherwise(64 << 20, (name, value) =>
    checkInteger(name, value, LEAST_MEMORY_BYTES, MAX_MEMORY_BYTES),
  ),
  calls: otherwise<'exit' | 'spin'>('exit', (name, value) =>
    checkWord(name, value, ['exit', 'spin']),
  ),
  spinMs: optional((name, value) => checkMilliseconds(name, value, MAX_SPIN_MS)),
  onOutput: optional((name, value) => {
    checkFunction(name, value)
    return value as OutputHandler
  }),
}

/** The options of `instantiate`, with their defaults; signatures are not read yet. */
export function checkInstantiateOptions(value: unknown) {
  const { calls, spinMs, ...given } = checkShape('options', value, shape, '')
  if (calls === 'spin') return { ...given, spinMs: spinMs ?? DEFAULT_SPIN_MS }
  if (spinMs !== undefined) return fail('ERR_INVALID_OPTION', "spinMs needs calls: 'spin'")
  return { ...given, spinMs }
}
