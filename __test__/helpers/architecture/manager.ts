// Who may import whom in packages/manager/src. A rule takes files and returns one message per
// violation.
import { join } from 'node:path/posix'
import type { SourceFile } from './files.ts'

const ROOT = 'packages/manager/src/'

/** What each room may import, beside itself and `GROUND`: rooms, or files of them. */
const ARROWS: Record<string, readonly string[]> = {
  paths: [],
  wire: [],
  definition: ['paths'],
  store: ['definition', 'paths'],
  supervisor: ['store', 'wire', 'definition', 'paths'],
  // Front ends know what can be done with machines, and not how.
  http: ['supervisor/front-end.ts'],
  libvirt: ['supervisor/front-end.ts'],
  // The page, and who may see it.
  web: ['http/answer.ts', 'http/guard.ts'],
  client: [],
  // What opens /dev/kvm, and so nothing that a daemon imports.
  machine: ['wire', 'store', 'definition', 'paths'],
  daemon: ['supervisor', 'http', 'web', 'libvirt', 'store', 'wire', 'definition', 'paths'],
  cli: ['client', 'daemon/index.ts', 'definition', 'paths'],
  'index.ts': ['daemon/index.ts'],
}

/** Words that all of them share. */
const GROUND = ['supervisor/errors.ts', 'supervisor/interface.ts']

/** The packages that are there on purpose, and the rooms that need them. */
const PACKAGES: Record<string, readonly string[]> = {
  ws: ['http', 'client'],
  '@stellar/js-xdr': ['libvirt'],
  'fast-xml-parser': ['libvirt'],
  vmexit: ['machine'],
  // Data, which opens nothing.
  'vmexit/machine.schema.json': ['definition', 'http'],
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

const roomOf = (path: string): string => path.slice(ROOT.length).split('/')[0] ?? ''

export function managerArrows(files: SourceFile[]): string[] {
  return files
    .filter(({ path }) => path.startsWith(ROOT) && path.endsWith('.ts'))
    .flatMap(({ path, text }) =>
      importsOf(text).flatMap((found) => {
        const said = found.name.startsWith('.')
          ? fileProblem(roomOf(path), join(path, '..', found.name))
          : packageProblem(roomOf(path), found)
        return said === '' ? [] : [`${path}:${found.line}: imports '${found.name}'; ${said}`]
      }),
    )
}

function fileProblem(room: string, target: string): string {
  if (target === 'packages/manager/package.json') return ''
  if (!target.startsWith(ROOT)) return `which is no file of ${ROOT}`
  const file = target.slice(ROOT.length)
  const own = ARROWS[room]
  if (own === undefined) return `'${room}' has no row in the table of arrows`
  const allowed = [room, ...GROUND, ...own]
  const isAllowed = allowed.some((each) => file === each || file.startsWith(`${each}/`))
  return isAllowed ? '' : `${room} may import ${allowed.join(', ')}`
}

function packageProblem(room: string, { name, isType }: Import): string {
  if (name.startsWith('node:')) return ''
  const rooms = PACKAGES[name]
  if (rooms === undefined) return 'which is no dependency on purpose'
  return isType || rooms.includes(room) ? '' : `only ${rooms.join(' and ')} may, but for types`
}
