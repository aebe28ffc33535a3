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
    const here = platformName()
    return fail(
      'ERR_BINDING_UNAVAILABLE',
      `vmexit has no native binding for ${here} (Node.js ${process.version}): ${remedy(here)}`,
      { cause },
    )
  }
}

/** This platform, as the package of its binary would be named. */
function platformName(): string {
  const name = `${process.platform}-${process.arch}`
  if (process.platform !== 'linux') return name
  const { header } = process.report.getReport() as { header: { glibcVersionRuntime?: string } }
  return `${name}-${header.glibcVersionRuntime ? 'gnu' : 'musl'}`
}

function remedy(here: string): string {
  if (here === 'linux-x64-gnu') {
    return (
      'the package vmexit-linux-x64-gnu is missing or does not load, the cause says which. ' +
      'Reinstall without --omit=optional; in a checkout, run `npm start` to build it.'
    )
  }
  return 'it runs on linux-x64-gnu, that is Linux on x86-64 with glibc. The types work everywhere.'
}
