import { accessSync, constants } from 'node:fs'

import { VmError, raise } from '../../native/errors.ts'

/** Debian's, which a box of the host's files has, too. */
export const python = '/usr/bin/python3'

/** Prints the nanoseconds that it took itself, without Python's start. */
export const loop = `import time
def f(n):
    return n if n < 2 else f(n - 1) + f(n - 2)
start = time.perf_counter_ns()
for _ in range(8):
    f(25)
print(time.perf_counter_ns() - start)`

/** Fails where there is none. */
export function findPython(): void {
  try {
    accessSync(python, constants.X_OK)
  } catch (cause) {
    raise(new VmError('ERR_KVM_CAPABILITY', `${python} is not installed`, { cause }))
  }
}
