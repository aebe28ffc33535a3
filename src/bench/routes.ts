import { raise } from '../native/errors.ts'
import { type Guest, guests } from '../options/guest.ts'
import type { Image } from '../options/payload.ts'
import type { RunResult } from '../results/result.ts'
import type { Route } from '../options/routes.ts'
import { VirtualMachine } from '../machine/virtual-machine.ts'
import type { Kind } from './document.ts'
import { benchGpa, benchPort, countCell, hltImage, mmioImage } from './images.ts'
import type { RouteName } from './route-names.ts'

/** One way of an exit, ready to be measured. */
export interface BenchRoute {
  readonly name: RouteName
  readonly unit: string
  readonly kind: Kind
  readonly about: string
  /** Units of which one time of `each` is the mean. */
  readonly unitsPerTime: number
  /** What one time of `each` is. */
  readonly timing: string
  /** Units that cost about as much as so many exits. */
  units(exits: number): number
  /** Fails where the build or the host has no such route. */
  probe(): void
  /** Nanoseconds for so many units. */
  total(units: number, signal: AbortSignal): Promise<number>
  /** Nanoseconds per unit, many times over. */
  each(units: number, signal: AbortSignal): Promise<readonly number[]>
}

/** Ends a run that hangs; the slowest KVM needs seconds. */
const timeoutMs = 120_000

/** A guest that writes N times. */
interface Writer {
  payload: Guest | Image
  memoryBytes?(count: number): number
  prepare(vm: VirtualMachine, count: number): void
}

const count: Writer = {
  payload: guests.count,
  prepare: (vm, n) => vm.memory.writeUint32(countCell, n),
}

const mmio: Writer = { ...count, payload: { image: mmioImage } }

/** The buffer of the string instruction lies after the image and its cells. */
const bufferGpa = 0x1000

const string: Writer = {
  payload: guests.stringIo,
  memoryBytes: (n) => Math.max(2 << 20, Math.ceil((bufferGpa + n) / 4096) * 4096 + (1 << 20)),
  prepare(vm, n) {
    vm.memory.writeUint32(0x500, 0)
    vm.memory.writeUint32(0x504, n)
    vm.memory.writeUint32(0x508, benchPort)
    vm.memory.writeUint64(0x510, BigInt(bufferGpa))
  },
}

/** What arrived, counted by JavaScript. */
class Tally {
  seen = 0
  readonly stamps: BigInt64Array | undefined

  constructor(stamps?: number) {
    if (stamps !== undefined) this.stamps = new BigInt64Array(stamps)
  }

  /** A device's handler. */
  readonly write = (): void => {
    if (this.stamps) this.stamps[this.seen] = process.hrtime.bigint()
    this.seen += 1
  }

  readonly writeAsync = async (): Promise<void> => this.write()

  readonly add = (writes: number): void => {
    this.seen += writes
  }

  readonly onBatch = (batch: { readonly length: number }): void => {
    this.seen += batch.length
  }
}

interface LoopSpec {
  name: RouteName
  unit?: string
  kind?: Kind
  about: string
  writer?: Writer
  /** `run()`, else `runSync()`. */
  threaded?: boolean
  /** Every exit calls JavaScript, which can time it there. */
  stamped?: boolean
  /** Units of one run whose mean is one time; where JavaScript sees no single exit. */
  chunk?: number
  route(tally: Tally): Route
  /** Units that arrived, where JavaScript's tally does not say. */
  arrived?(vm: VirtualMachine, result: RunResult): number
}

/** A route that a guest's loop of writes goes to. */
class LoopRoute implements BenchRoute {
  readonly name: RouteName
  readonly unit: string
  readonly kind: Kind
  readonly about: string
  readonly unitsPerTime: number
  readonly timing: string
  readonly #spec: LoopSpec
  readonly #writer: Writer

  constructor(spec: LoopSpec) {
    this.#spec = spec
    this.#writer = spec.writer ?? count
    this.unitsPerTime = spec.stamped ? 1 : (spec.chunk ?? 100)
    this.name = spec.name
    this.unit = spec.unit ?? 'exit'
    this.kind = spec.kind ?? 'pio'
    this.about = spec.about
    this.timing = spec.stamped
      ? 'each exit, from handler to handler'
      : `means of runs of ${this.unitsPerTime} under runSync(), the run's own start and end included`
  }

  units(exits: number): number {
    return exits
  }

  probe(): void {
    this.#machine(1, new Tally()).close()
  }

  async total(units: number, signal: AbortSignal): Promise<number> {
    return this.#run(units, new Tally(), signal)
  }

  async each(units: number, signal: AbortSignal): Promise<readonly number[]> {
    if (!this.#spec.stamped) return this.#chunks(units, signal)
    const tally = new Tally(units)
    await this.#run(units, tally, signal)
    return Array.from(tally.stamps!.subarray(1), (stamp, index) =>
      Number(stamp - tally.stamps![index]!),
    )
  }

  #machine(units: number, tally: Tally): VirtualMachine {
    const { payload, memoryBytes, prepare } = this.#writer
    const vm = new VirtualMachine({
      mode: 'long',
      payload,
      routes: [this.#spec.route(tally)],
      ...(memoryBytes ? { memoryBytes: memoryBytes(units) } : {}),
    })
    prepare(vm, units)
    return vm
  }

  async #run(units: number, tally: Tally, signal: AbortSignal): Promise<number> {
    using vm = this.#machine(units, tally)
    const start = process.hrtime.bigint()
    const result = this.#spec.threaded
      ? await vm.run({ timeoutMs, signal })
      : vm.runSync({ timeoutMs })
    const ns = Number(process.hrtime.bigint() - start)
    this.#check(vm, result, tally, units)
    return ns
  }

  /** Many short runs of one machine, each from the guest's first instruction to its last. */
  async #chunks(units: number, signal: AbortSignal): Promise<number[]> {
    const tally = new Tally()
    const chunk = Math.min(this.unitsPerTime, units)
    using vm = this.#machine(chunk, tally)
    const times: number[] = []
    for (let done = chunk; done <= Math.max(units, chunk); done += chunk) {
      signal.throwIfAborted()
      vm.setRegisters({ rip: 0n })
      const start = process.hrtime.bigint()
      const result = vm.runSync({ timeoutMs })
      times.push(Number(process.hrtime.bigint() - start) / chunk)
      if (result.reason !== 'hlt') this.#check(vm, result, tally, done)
    }
    return times
  }

  #check(vm: VirtualMachine, result: RunResult, tally: Tally, units: number): void {
    const arrived = this.#spec.arrived ? this.#spec.arrived(vm, result) : tally.seen
    if (result.reason === 'hlt' && arrived === units) return
    raise(new Error(`${arrived} of ${units} arrived, and the run ended with ${result.reason}`))
  }
}

const counted = (vm: VirtualMachine): number => vm.counters().routes[0]?.writes ?? 0

/** The route with the least of ours in it: also the baseline where there is no raw C loop. */
const constantRoute: BenchRoute = new LoopRoute({
  name: 'constant',
  about: "Rust answers, nothing reaches JavaScript: port writes to: 'constant' under runSync()",
  route: () => ({ port: benchPort, to: 'constant', value: 0 }),
  arrived: counted,
})

const hltRoute: BenchRoute = {
  name: 'hlt',
  unit: 'round trip',
  kind: 'hlt',
  about: 'every halt ends a runSync() and JavaScript starts the next one',
  unitsPerTime: 1,
  timing: 'each runSync()',
  units: (exits) => exits,
  probe: () => undefined,
  async total(units) {
    using vm = new VirtualMachine({ mode: 'long', payload: { image: hltImage } })
    const start = process.hrtime.bigint()
    for (let done = 0; done < units; done += 1) vm.runSync()
    return Number(process.hrtime.bigint() - start)
  },
  async each(units) {
    using vm = new VirtualMachine({ mode: 'long', payload: { image: hltImage } })
    return timeEach(units, () => vm.runSync())
  },
}

const lifecycleRoute: BenchRoute = {
  name: 'lifecycle',
  unit: 'machine',
  kind: 'lifecycle',
  about: 'create a machine, run it to its first exit, close it',
  unitsPerTime: 1,
  timing: 'each machine',
  // A machine costs some hundred exits.
  units: (exits) => Math.max(Math.round(exits / 200), 5),
  probe: () => undefined,
  async total(units) {
    const start = process.hrtime.bigint()
    for (let done = 0; done < units; done += 1) live()
    return Number(process.hrtime.bigint() - start)
  },
  async each(units) {
    return timeEach(units, live)
  },
}

function live(): void {
  const vm = new VirtualMachine({ mode: 'long', payload: { image: hltImage } })
  vm.runSync()
  vm.close()
}

function timeEach(units: number, work: () => unknown): number[] {
  return Array.from({ length: units }, () => {
    const start = process.hrtime.bigint()
    work()
    return Number(process.hrtime.bigint() - start)
  })
}

/** In the order of the tables. */
export const benchRoutes: readonly BenchRoute[] = [
  constantRoute,
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
  hltRoute,
  lifecycleRoute,
]
