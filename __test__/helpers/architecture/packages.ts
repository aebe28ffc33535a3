// Who may import whom within a package beside vmexit. A rule takes files and returns one message
// per violation.
import { join } from 'node:path/posix'
import type { SourceFile } from './files.ts'

/** The table of one package. */
export interface Package {
  /** Its folder in packages/. */
  readonly name: string
  /** What each room may import, beside itself and the ground: rooms, or files of them. */
  readonly arrows: Readonly<Record<string, readonly string[]>>
  /** What all of them share. */
  readonly ground: readonly string[]
  /** The packages that are there on purpose, and the rooms that need them. */
  readonly packages: Readonly<Record<string, readonly string[]>>
}

/** Of imports, re-exports and `import()`, over several lines, too. */
const IMPORT =
  /^(?:import|export)\s+(?<type>type\s)?(?:[^'";]*?\sfrom\s+)?'(?<from>[^']+)'|\b(?:import|require|createRequire\(.*\))\('(?<at>[^']+)'/gm

interface Import {
  readonly name: string
  readonly line: number
  /** Whether nothing is left of it at run time. */
  readonly isType: boolean
}

function importsOf(text: string): Import[] {
  return [...text.matchAll(IMPORT)].map(({ groups = {}, index }) => ({
    name: groups['from'] ?? groups['at'] ?? '',
    line: text.slice(0, index).split('\n').length,
    isType: groups['type'] !== undefined,
  }))
}

/** The rule of a package. */
export function arrowsOf(table: Package): (files: SourceFile[]) => string[] {
  const root = `packages/${table.name}/src/`
  const problemOf = (path: string, found: Import): string => {
    const room = path.slice(root.length).split('/')[0] ?? ''
    return found.name.startsWith('.')
      ? fileProblem(table, room, join(path, '..', found.name))
      : packageProblem(table, room, found)
  }
  return (files) =>
    files
      .filter(({ path }) => path.startsWith(root) && path.endsWith('.ts'))
      .flatMap(({ path, text }) =>
        importsOf(text).flatMap((found) => {
          const said = problemOf(path, found)
          return said === '' ? [] : [`${path}:${found.line}: imports '${found.name}'; ${said}`]
        }),
      )
}

function fileProblem({ name, arrows, ground }: Package, room: string, target: string): string {
  const root = `packages/${name}/src/`
  if (target === `packages/${name}/package.json`) return ''
  if (!target.startsWith(root)) return `which is no file of ${root}`
  const file = target.slice(root.length)
  const own = arrows[room]
  if (own === undefined) return `'${room}' has no row in the table of arrows`
  const allowed = [room, ...ground, ...own]
  const isAllowed = allowed.some((each) => file === each || file.startsWith(`${each}/`))
  return isAllowed ? '' : `${room} may import ${allowed.join(', ')}`
}

function packageProblem({ packages }: Package, room: string, { name, isType }: Import): string {
  if (name.startsWith('node:')) return ''
  const rooms = packages[name]
  if (rooms === undefined) return 'which is no dependency on purpose'
  return isType || rooms.includes(room) ? '' : `only ${rooms.join(' and ')} may, but for types`
}
