import { invalid } from '../../native/errors.ts'
import { native } from '../../native/native.ts'
import {
  checkArray,
  checkBytes,
  checkInteger,
  checkMilliseconds,
  checkObject,
  checkString,
  checkUint64,
  steady,
} from '../../options/check.ts'
import { checkShape, optional, otherwise } from '../../options/shape.ts'
import { type Files, checkFiles, checkGuestPath } from './files.ts'
import { type Source, checkSource } from './input.ts'

/**
 * A clock that stands still.
 *
 * @category Process
 */
export interface FixedClock {
  /** A date, or milliseconds since 1970. */
  readonly fixed: Date | number
}

/**
 * What a process is given. Nothing of the host reaches it but by these.
 *
 * @category Process
 */
export interface ProcessOptions {
  /** Its arguments, without its name. */
  readonly args?: readonly string[]
  /** Its environment, default empty. */
  readonly env?: Readonly<Record<string, string>>
  /** Its working directory, default `/`. */
  readonly cwd?: string
  /**
   * What it finds by path. Of what is at nested paths the longer one counts. `/proc` and `/dev` are
   * always the engine's own.
   */
  readonly files?: Files
  /**
   * Its standard input: text, bytes, or a stream of them. Default: what is written to
   * `process.stdin`, until its end.
   */
  readonly stdin?: Source
  /** All memory that it can have, default 256 MiB; committed as it is used. */
  readonly memoryBytes?: number
  /** After how long it is ended, with reason `'timeout'`. Default: never. */
  readonly timeoutMs?: number
  /** Where its chance comes from: the host, or a seed that makes it the same each time. */
  readonly random?: 'host' | number | bigint
  /**
   * The time that system calls tell: the host's, or always this date, and what was slept since.
   * Instructions of the processor, such as `rdtsc`, tell the host's all the same.
   */
  readonly clock?: 'host' | FixedClock
}

/**
 * What a process is given that goes on from a snapshot. The rest it has from there.
 *
 * @category Process
 */
export interface RestoredOptions extends Pick<ProcessOptions, 'stdin' | 'timeoutMs'> {
  /**
   * What it finds in `/proc/self/cmdline` from then on, its name first. The arguments that it was
   * started with lie in its memory, and stay.
   */
  readonly args?: readonly string[]
}

const { maxTimeoutMs } = native.limits()
/** A page of each table, a stack and a small program have room there. */
const LEAST_MEMORY_BYTES = 4 << 20
const MAX_MEMORY_BYTES = 2 ** 40
const DEFAULT_MEMORY_BYTES = 256 << 20
const MAX_ARGUMENTS = 65_536

const checkArguments = (name: string, value: unknown): string[] =>
  checkArray(name, value, MAX_ARGUMENTS, (item, at) => checkWord(at, item))

const restoredShape = {
  args: optional(checkArguments),
  stdin: optional(checkSource),
  timeoutMs: optional((name, value) => checkMilliseconds(name, value, maxTimeoutMs)),
}

const shape = {
  ...restoredShape,
  args: otherwise<string[]>([], checkArguments),
  env: optional(checkEnvironment),
  cwd: otherwise('/', checkGuestPath),
  files: optional(checkFiles),
  memoryBytes: otherwise(DEFAULT_MEMORY_BYTES, (name, value) =>
    checkInteger(name, value, LEAST_MEMORY_BYTES, MAX_MEMORY_BYTES),
  ),
  random: optional((name, value) =>
    value === 'host' ? undefined : checkUint64(name, value, true),
  ),
  clock: optional(checkClock),
}

/** The options of a process, checked. */
export function checkProcessOptions(value: unknown) {
  const { env, files, ...rest } = checkShape('options', value, shape, '')
  return { ...rest, environment: env ?? [], mounts: files ?? [] }
}

/** The options of a process that goes on, checked. */
export function checkRestoredOptions(value: unknown) {
  return checkShape('options', value, restoredShape, '')
}

/** The same, of {@link checkProcessOptions}. */
export type CheckedProcess = ReturnType<typeof checkProcessOptions>

/** A text that C can have. */
function checkWord(name: string, value: unknown): string {
  const word = checkString(name, value)
  return word.includes('\0') ? invalid(name, 'a string without NUL', value) : word
}

function checkEnvironment(name: string, value: unknown): string[] {
  return Object.entries(checkObject(name, value)).map(([key, text]) => {
    if (key === '' || key.includes('=')) invalid(name, "made of names without '='", key)
    return `${checkWord(name, key)}=${checkWord(`${name}.${key}`, text)}`
  })
}

function checkClock(name: string, value: unknown): number | undefined {
  if (value === 'host') return undefined
  const { fixed } = checkObject(name, value)
  const date = fixed instanceof Date ? fixed.getTime() : fixed
  if (typeof date === 'number' && Number.isSafeInteger(Math.trunc(date))) return Math.trunc(date)
  return invalid(`${name}.fixed`, 'a Date or milliseconds since 1970', fixed)
}

/** A program: where it is in `files`, or its image. */
export function checkProgram(value: unknown): { path: string; image: Uint8Array } {
  if (typeof value === 'string')
    return { path: checkGuestPath('program', value), image: new Uint8Array() }
  return { path: '/program', image: steady(checkBytes('program', value)) }
}
