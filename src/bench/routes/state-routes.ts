import { VirtualMachine } from '../../index.ts'
import { pagesEntry, pagesImage } from '../images.ts'
import { RepeatedRoute, type Work } from './repeated-route.ts'
import type { BenchRoute } from './route.ts'

/** A machine before the run that writes so many pages. */
function before(pages: number): VirtualMachine {
  const image = { image: pagesImage, entryGpa: pagesEntry(pages) }
  return new VirtualMachine({ mode: 'long', payload: image })
}

/** A run that writes pages, and `vm.restore()`; or the run alone, from the same register on. */
function resetting(pages: number, restores: boolean): Work {
  const vm = before(pages)
  const base = vm.snapshot()
  const rip = BigInt(pagesEntry(pages))
  const once = (): void => {
    vm.runSync()
    if (restores) vm.restore(base)
    else vm.setRegisters({ rip })
  }
  return {
    once,
    [Symbol.dispose]() {
      vm.close()
      base.close()
    },
  }
}

function resetRoute(pages: 1 | 10 | 100, exits: number): BenchRoute {
  return new RepeatedRoute({
    name: `reset-${pages}`,
    unit: 'run',
    kind: `reset-${pages}`,
    about:
      `runSync() of a guest that writes ${pages} of its pages, and restore() after it, which puts all state back; ` +
      'C puts back memory and the registers of its guest, which uses no other state',
    timing: 'each runSync() and restore()',
    exits,
    begin: () => resetting(pages, true),
    without: { part: 'restore()', kind: `pages-${pages}`, begin: () => resetting(pages, false) },
  })
}

/** Routes of a machine's state as a value. */
export const stateRoutes: readonly BenchRoute[] = [
  resetRoute(1, 4),
  resetRoute(10, 5),
  resetRoute(100, 20),
  new RepeatedRoute({
    name: 'fork',
    unit: 'machine',
    kind: 'fork',
    others: ['fork-new'],
    about:
      'a machine from a snapshot, a run in which it writes one page, and close(); fork is C with a VM that it keeps, and ' +
      'fork-new with one made for each',
    timing: 'each machine',
    exits: 40,
    begin() {
      const vm = before(1)
      const snapshot = vm.snapshot()
      return {
        once() {
          const child = new VirtualMachine({ snapshot })
          child.runSync()
          child.close()
        },
        [Symbol.dispose]() {
          vm.close()
          snapshot.close()
        },
      }
    },
  }),
  new RepeatedRoute({
    name: 'snapshot',
    unit: 'snapshot',
    kind: null,
    about:
      'snapshot() of a machine of 2 MiB with its image and a hundred pages written, and a write between two',
    timing: 'each snapshot() and its close()',
    exits: 100,
    begin() {
      const vm = before(100)
      vm.runSync()
      let value = 0
      return {
        once() {
          // What has not changed is not saved again.
          vm.memory.writeUint32(0x1_0000, (value += 1))
          vm.snapshot().close()
        },
        [Symbol.dispose]: () => vm.close(),
      }
    },
  }),
]
