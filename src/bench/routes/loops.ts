import type { VirtualMachine } from '../../machine/virtual-machine.ts'
import { benchGpa, benchPort } from '../images.ts'
import { LoopRoute, mmio, string } from './loop-route.ts'
import type { BenchRoute } from './route.ts'

const counted = (vm: VirtualMachine): number => vm.counters().routes[0]?.writes ?? 0

/** The route with the least of ours in it: also the baseline where there is no raw C loop. */
const constantRoute: BenchRoute = new LoopRoute({
  name: 'constant',
  about: "Rust answers, nothing reaches JavaScript: port writes to: 'constant' under runSync()",
  route: () => ({ port: benchPort, to: 'constant', value: 0 }),
  arrived: counted,
})

/** Routes that a loop of writes in the guest goes to. */
export const loopRoutes: readonly BenchRoute[] = [
  constantRoute,
  new LoopRoute({
    name: 'trace',
    about: 'the same, each exit recorded by vm.trace(), against C, which records nothing',
    traced: true,
    route: () => ({ port: benchPort, to: 'constant', value: 0 }),
    arrived: counted,
  }),
  new LoopRoute({
    name: 'console',
    about: "Rust gathers the bytes: port writes to: 'console' under runSync(), into result.output",
    route: () => ({ port: benchPort, to: 'console' }),
    arrived: (_, result) => result.output.length,
  }),
  new LoopRoute({
    name: 'mmio',
    kind: 'mmio',
    about: "Rust answers: writes to a gpa, to: 'constant', under runSync()",
    writer: mmio,
    route: () => ({ gpa: benchGpa, to: 'constant', value: 0 }),
    arrived: counted,
  }),
  new LoopRoute({
    name: 'device-sync',
    about: 'JavaScript answers each port write on the same thread, under runSync()',
    stamped: true,
    route: ({ write }) => ({ port: benchPort, device: { write } }),
  }),
  new LoopRoute({
    name: 'device',
    about: 'JavaScript answers each port write of a vCPU on its own thread, under run()',
    threaded: true,
    stamped: true,
    route: ({ write }) => ({ port: benchPort, device: { write } }),
  }),
  new LoopRoute({
    name: 'device-async',
    about: 'the same, the handler returning a promise',
    threaded: true,
    stamped: true,
    route: ({ writeAsync }) => ({ port: benchPort, device: { write: writeAsync } }),
  }),
  new LoopRoute({
    name: 'queue',
    about: 'posted port writes through a ring, in batches to JavaScript, under run()',
    threaded: true,
    route: ({ onBatch }) => ({ port: benchPort, to: 'queue', onBatch }),
  }),
  new LoopRoute({
    name: 'coalesce',
    unit: 'write',
    about:
      "bytes of a rep outsb through the kernel's ring, under run(), against one raw C port exit; a rep outsb, because " +
      "the other guests' loop is three emulated instructions per write on some KVMs and no exit hides them here",
    writer: string,
    threaded: true,
    chunk: 1000,
    route: ({ onBatch }) => ({ port: benchPort, to: 'coalesce', onBatch }),
  }),
  new LoopRoute({
    name: 'event',
    unit: 'write',
    about:
      'port writes to an ioeventfd, delivered as counts, under run(), against one raw C port exit',
    threaded: true,
    chunk: 1000,
    route: ({ add }) => ({ port: benchPort, to: 'event', onEvent: add }),
  }),
]
