// Who may import whom in packages/manager/src.
import { type Package, arrowsOf } from './packages.ts'

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

const manager: Package = {
  name: 'manager',
  arrows: ARROWS,
  ground: GROUND,
  packages: PACKAGES,
}

export const managerArrows = arrowsOf(manager)
