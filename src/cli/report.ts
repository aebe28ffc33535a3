import { type ErrorCode, VmError } from '../errors.ts'
import { UsageError, exitCodes, printJson } from './command.ts'

/** Failures that a different command line would not have. */
const usageCodes: readonly ErrorCode[] = ['ERR_INVALID_OPTION', 'ERR_LIMIT', 'ERR_PAYLOAD']

/** Says what failed and returns the exit code for it. */
export function reportError(error: unknown, json: boolean): number {
  const isUsage =
    error instanceof UsageError || (error instanceof VmError && usageCodes.includes(error.code))
  const { message } = error as Error
  if (json) {
    const { code = 'ERR_INVALID_OPTION', call, errno } = error as Partial<VmError>
    printJson({ error: { code, message, call, errno } })
  }
  if (error instanceof UsageError) process.stderr.write(`vmexit: ${message}; see vmexit --help\n`)
  else if (error instanceof VmError) process.stderr.write(`vmexit: ${error.code}: ${message}\n`)
  else process.stderr.write(`vmexit: ${(error as Error).stack ?? String(error)}\n`)
  return isUsage ? exitCodes.usage : exitCodes.hostFailure
}
