import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { VirtualMachine } from 'vmexit'
import { type InstantiateOptions, type Library, type ProcessOptions, Process } from 'vmexit/process'
import { instantiate } from 'vmexit/process'

import { fleetError, toJobError } from '../job/error.ts'
import type { Job, JsonValue, NativeProgram } from '../job/job.ts'
import type { Shared } from '../job/shared.ts'
import { imageOf, programOptions } from './native.ts'
import type { Assignment } from './protocol.ts'
import { type Clock, machineOf } from './run.ts'

/**
 * Content by hash, for a job module.
 *
 * @category Fleet
 */
export interface ModuleStore {
  /** Stores bytes, up to 64 MiB, and returns their hash. */
  put(content: Uint8Array): Promise<string>
  /** The path of content on this host; it is there until the job ends. */
  path(hash: string): Promise<string>
}

/**
 * What the default export of a job module is called with.
 *
 * @category Fleet
 */
export interface JobContext {
  /** The job that it is for. */
  readonly job: Job
  /** Its `input`. */
  readonly input: JsonValue | undefined
  /** A machine of the definition or snapshot; each call makes one, for the caller to close. */
  machine(): Promise<VirtualMachine>
  /** The job's native program, started. */
  process(options?: ProcessOptions): Promise<Process>
  /** The job's native library. */
  library(options?: InstantiateOptions): Promise<Library>
  /** Says how far it is. */
  progress(value: JsonValue): void
  /** Aborted at the time-out; a little later the process is ended. */
  readonly signal: AbortSignal
  /** Content by hash. */
  readonly store: ModuleStore
  /** Small values that the jobs of one `map` share. */
  readonly shared: Shared
}

/**
 * The default export of a job module. What it returns is the job's value, which JSON must hold.
 *
 * @category Fleet
 */
export type JobModule = (context: JobContext) => JsonValue | PromiseLike<JsonValue>

/** A module that is not installed here may be elsewhere. */
export class MissingModule extends Error {
  readonly code = 'ERR_INVALID_OPTION'
}

/** The function of an installed module. */
async function load(name: string, folder: string | undefined): Promise<JobModule> {
  if (folder === undefined)
    throw new MissingModule(`module '${name}': there is no --modules folder`)
  // The name has been checked: it is no path.
  for (const extension of ['js', 'mjs', 'ts']) {
    const path = join(folder, `${name}.${extension}`)
    const isThere = await stat(path).then(
      (found) => found.isFile(),
      () => false,
    )
    if (!isThere) continue
    const { default: run } = (await import(pathToFileURL(path).href)) as { default?: JobModule }
    if (typeof run === 'function') return run
    throw fleetError('ERR_HANDLER', `module '${name}' must have a function as its default export`)
  }
  throw new MissingModule(`module '${name}' is not installed here`)
}

/** Runs the module of a job. */
export async function runModule(
  assignment: Assignment,
  clock: Clock,
  ways: Pick<JobContext, 'progress' | 'store' | 'shared'>,
): Promise<JsonValue> {
  const { job, modules, timeoutMs } = assignment
  const run = await load(job.module!, modules)
  const imageHash = (): string => {
    if (job.native) return job.native.hash
    throw fleetError('ERR_INVALID_OPTION', 'the job has no native code')
  }
  const context: JobContext = {
    ...ways,
    job,
    input: job.input,
    signal: AbortSignal.timeout(timeoutMs),
    machine: () => machineOf(assignment, clock),
    async process(options) {
      const image = await imageOf(imageHash(), assignment)
      const { args, path = '/program' } = job.native as NativeProgram
      const given = { ...(args && { args }), ...(await programOptions(assignment)), ...options }
      const files = { ...given.files, [path]: image }
      const begun = new Process(path, { ...given, files })
      void begun.exited.then(
        ({ durationMs }) => (clock.guestMs += durationMs),
        () => undefined,
      )
      return begun
    },
    async library(options) {
      return await instantiate(await imageOf(imageHash(), assignment), { timeoutMs, ...options })
    },
  }
  try {
    return (await run(context)) ?? null
  } catch (error) {
    const { code, message } = toJobError(error)
    const said = code.startsWith('ERR_') ? code : 'ERR_HANDLER'
    throw Object.assign(new Error(`module '${job.module}': ${message}`), { code: said })
  }
}
