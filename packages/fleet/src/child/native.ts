import { readFile } from 'node:fs/promises'
import { GuestFault, execute, instantiate } from 'vmexit/process'

import { toJobError } from '../job/error.ts'
import type { JobLimits, JsonValue, NativeCall, NativeProgram } from '../job/job.ts'
import type { Assignment } from './protocol.ts'
import { type Clock, pathOf } from './run.ts'

const defaultOutputBytes = 1 << 20

/** The last image: jobs that follow each other are often alike. */
let last: { readonly hash: string; readonly image: Uint8Array } | undefined

/** The image of a job's native code. */
export async function imageOf(hash: string, assignment: Assignment): Promise<Uint8Array> {
  if (last?.hash !== hash) last = { hash, image: await readFile(pathOf(hash, assignment.paths)) }
  return last.image
}

/** What a job's program is given, beside what its caller adds. */
export async function programOptions(assignment: Assignment) {
  const { native, limits } = assignment.job
  const { env, files = {}, stdin } = native as NativeProgram
  const read = Object.entries(files).map(async ([path, file]) => {
    const content = typeof file === 'string' ? file : await readFile(at(file.hash, assignment))
    return [path, content] as const
  })
  return {
    ...(env && { env }),
    files: Object.fromEntries(await Promise.all(read)),
    ...(stdin !== undefined && { stdin }),
    ...memoryOf(limits),
    timeoutMs: assignment.timeoutMs,
  }
}

const at = (hash: string, { paths }: Assignment): string => pathOf(hash, paths)

const memoryOf = (limits: JobLimits | undefined) =>
  limits?.memoryBytes === undefined ? {} : { memoryBytes: limits.memoryBytes }

/** Runs the native code of a job, and returns what it came to. */
export async function runNative(assignment: Assignment, clock: Clock): Promise<JsonValue> {
  const { native } = assignment.job
  return native && 'call' in native
    ? await call(native, assignment, clock)
    : await program(native as NativeProgram, assignment, clock)
}

async function program(
  { hash, path = '/program', args }: NativeProgram,
  assignment: Assignment,
  clock: Clock,
): Promise<JsonValue> {
  const maxOutputBytes = assignment.job.limits?.maxOutputBytes ?? defaultOutputBytes
  const given = await programOptions(assignment)
  const files = { ...given.files, [path]: await imageOf(hash, assignment) }
  const ended = await execute(path, args, { ...given, files, maxOutputBytes })
  const { exitCode, signal, reason, stdout, stderr, durationMs, autopsy } = ended
  clock.guestMs += durationMs
  const explain = autopsy ? { explain: String(autopsy) } : {}
  return { exitCode, signal, reason, stdout, stderr, durationMs, ...explain }
}

async function call(
  { hash, call: [name, signature, ...args] }: NativeCall,
  assignment: Assignment,
  clock: Clock,
): Promise<JsonValue> {
  using library = await instantiate(await imageOf(hash, assignment), {
    exports: { [name]: signature },
    timeoutMs: assignment.timeoutMs,
    ...memoryOf(assignment.job.limits),
  })
  const begun = performance.now()
  try {
    const functions = library.async as Record<string, (...args: unknown[]) => Promise<unknown>>
    return toJson(await functions[name]?.(...args.map(argument)))
  } catch (error) {
    throw withExplanation(error)
  } finally {
    clock.guestMs += performance.now() - begun
  }
}

/** A 64-bit number is `{ bigint: '123' }` in JSON. */
function argument(value: JsonValue): unknown {
  const big = typeof value === 'object' && value !== null ? Object(value)['bigint'] : undefined
  return typeof big === 'string' && /^-?\d{1,20}$/.test(big) ? BigInt(big) : value
}

function toJson(value: unknown): JsonValue {
  if (typeof value === 'bigint') return String(value)
  return (value ?? null) as JsonValue
}

/** What the library did is the result's error: it has no value. */
function withExplanation(error: unknown): unknown {
  if (!(error instanceof GuestFault)) return error
  const { message } = toJobError(error)
  return Object.assign(new Error(`${message}\n${String(error.explain())}`), { code: 'GuestFault' })
}
