import type { ExecutionContext } from 'ava'

import { ManagerError, type ManagerErrorCode } from '../../src/supervisor/errors.ts'

/** Asserts that a call throws a `ManagerError` of this code, and gives it. */
export function fails(
  t: ExecutionContext,
  code: ManagerErrorCode,
  call: () => unknown,
): ManagerError {
  return t.throws(call, { instanceOf: ManagerError, code })!
}

/** The same, for a call that returns a promise. */
export async function rejects(
  t: ExecutionContext,
  code: ManagerErrorCode,
  call: () => Promise<unknown>,
): Promise<ManagerError> {
  return (await t.throwsAsync(call, { instanceOf: ManagerError, code }))!
}
