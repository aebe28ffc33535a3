import { VmError, raise } from '../../native/errors.ts'

/** Gives `undefined` for memory that the program does not have. */
export function tryMemory<T>(access: () => T): T | undefined {
  try {
    return access()
  } catch (cause) {
    const isHole = cause instanceof VmError && cause.code === 'ERR_GUEST_MEMORY'
    return isHole ? undefined : raise(cause)
  }
}
