import { fail } from '../../native/errors.ts'
import type { Engine, EngineOptions } from './types.ts'

/** Loads a static ELF image into a machine of its own. */
export function createEngine(_image: Uint8Array, _options: EngineOptions): Engine {
  return fail('ERR_KVM_CAPABILITY', 'native code cannot be run yet')
}
