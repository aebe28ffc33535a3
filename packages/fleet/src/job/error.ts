import { type ErrorCode, VmError } from 'vmexit'

import type { JobError } from './job.ts'

const longest = 4000

/** An error with one of vmexit's codes. */
export function fleetError(code: ErrorCode, message: string, cause?: unknown): VmError {
  return new VmError(code, message, cause === undefined ? {} : { cause })
}

/** What a result says of an error: its code, and a message of bounded length. */
export function toJobError(error: unknown): JobError {
  try {
    const { code, name, message } = error as { code?: unknown; name?: unknown; message?: unknown }
    const said = typeof message === 'string' ? message : String(error)
    return {
      code: typeof code === 'string' ? code.slice(0, 60) : String(name ?? 'ERR_HANDLER'),
      message: said.length > longest ? `${said.slice(0, longest)}…` : said,
    }
  } catch {
    // A module may throw what throws in its turn.
    return { code: 'ERR_HANDLER', message: 'an error that cannot be shown' }
  }
}
