// Linux programs for tests: static C, each built once and kept.
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'

import { nativeImage, warnings } from './native.ts'

const folder = resolve('__test__/fixtures/programs')

/** The image of a program of `__test__/fixtures/programs`, by its file's name. */
export function program(name: string): Uint8Array {
  const file = `${folder}/${name}.c`
  const text = createHash('sha256').update(readFileSync(file)).digest('hex').slice(0, 8)
  const options = ['-std=gnu11', '-O2', ...warnings, '-Wno-pedantic', '-static']
  const built = nativeImage(`${name}-${text}`, { tool: 'cc', sources: [file], options })
  if ('missing' in built) throw new Error(`no program for tests: ${built.missing}`)
  return built.image
}
