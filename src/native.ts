import { createRequire } from 'node:module'

import type * as Seam from '../index.js'

import { fail } from './errors.ts'

/** The native binding. Loading it opens nothing: no `/dev/kvm`, no thread, no signal handler. */
export const native: typeof Seam = load()

function load(): typeof Seam {
  try {
    // The same path from src/ and from dist/.
    return createRequire(import.meta.url)('../index.js') as typeof Seam
  } catch (cause) {
    const here = `${process.platform}-${process.arch}`
    return fail(
      'ERR_BINDING_UNAVAILABLE',
      `vmexit has no native binding for ${here} (Node.js ${process.version}); supported: linux-x64 with glibc. ` +
        'In a checkout, run `npm start` to build it; otherwise reinstall without --no-optional.',
      { cause },
    )
  }
}
