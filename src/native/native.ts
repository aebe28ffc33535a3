import binding from '../../native.cjs'

import type * as Seam from '../../index.js'

import { fail } from './errors.ts'
import { remedy, runtime } from './remedy.ts'

/** The native binding. Loading it opens nothing: no `/dev/kvm`, no thread, no signal handler. */
export const native: typeof Seam = load()

function load(): typeof Seam {
  const loaded = binding.load()
  if ('native' in loaded) return loaded.native as typeof Seam
  const { cause } = loaded
  const here = binding.platform()
  return fail(
    'ERR_BINDING_UNAVAILABLE',
    `vmexit has no native binding for ${here} (${runtime()}): ${remedy(here, cause)}`,
    { cause },
  )
}
