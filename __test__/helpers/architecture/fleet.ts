// Who may import whom in packages/fleet/src.
import { type Package, arrowsOf } from './packages.ts'

const fleet: Package = {
  name: 'fleet',
  arrows: {
    job: [],
    store: [],
    // The process that opens /dev/kvm, and what starts it.
    child: ['store'],
    engines: ['child', 'store'],
    worker: ['child', 'store', 'engines/queue'],
    cli: ['index.ts', 'worker', 'engines', 'child', 'store'],
    // Of the children it has their types.
    'index.ts': ['engines', 'store', 'child/module.ts'],
  },
  ground: ['job'],
  packages: {
    // Those that hold no machine have its errors.
    vmexit: ['job', 'child'],
    'vmexit/process': ['child'],
    bullmq: ['engines', 'worker', 'cli'],
    ioredis: ['store', 'engines', 'worker', 'cli'],
  },
}

export const fleetArrows = arrowsOf(fleet)
