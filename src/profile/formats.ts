import { invalid } from '../native/errors.ts'
import { checkWord } from '../options/check.ts'
import { cpuprofile } from './cpuprofile.ts'
import type { Named } from './named.ts'
import { folded } from './folded.ts'
import { speedscope } from './speedscope.ts'

/**
 * What a profile can be written as.
 *
 * @category Debugging
 */
export type ProfileFormat = 'cpuprofile' | 'speedscope' | 'folded'

const writers: Record<ProfileFormat, (named: Named) => string> = { cpuprofile, speedscope, folded }

const formats = Object.keys(writers) as ProfileFormat[]

/** By the end of a file's name. */
const endings: readonly (readonly [string, ProfileFormat])[] = [
  ['.cpuprofile', 'cpuprofile'],
  ['.speedscope.json', 'speedscope'],
  ['.folded', 'folded'],
  ['.txt', 'folded'],
]

/** One of the formats. */
export function checkFormat(name: string, value: unknown): ProfileFormat {
  return checkWord(name, value, formats)
}

/** Those endings, as a message has them. */
export const endingsOfPaths: string = endings.map(([ending]) => ending).join(', ')

/** The format that the name of a file says. */
export function formatOfPath(path: string): ProfileFormat | undefined {
  return endings.find(([ending]) => path.endsWith(ending))?.[1]
}

/** A profile as text. */
export function write(named: Named, format: ProfileFormat): string {
  const writer = Object.hasOwn(writers, format) ? writers[format] : undefined
  return writer ? writer(named) : invalid('format', `one of ${formats.join(', ')}`, format)
}
