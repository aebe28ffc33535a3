// A machine for the length of a scenario.
import { VirtualMachine } from '../../dist/index.js'

/** Every run has an end, a guest that is left alone by a failed call too. */
export const LIMIT = { timeoutMs: 300 }

/** Machines that are closed and not collected: what one holds is to be given back all the same. */
const kept = []

/** Lets them go. */
export function forget() {
  kept.length = 0
}

/** Makes a machine, in long mode unless `options` say otherwise, and closes it, which never throws. */
export async function use(options, body) {
  const vm = new VirtualMachine({ mode: 'long', ...options })
  kept.push(vm)
  try {
    return await body(vm)
  } finally {
    close(vm)
  }
}

function close(vm) {
  try {
    vm.close()
  } catch (cause) {
    throw new TypeError('close() threw', { cause })
  }
}
