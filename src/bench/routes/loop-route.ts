import { type Guest, type Trace, VirtualMachine, guests } from '../../index.ts'
import { raise } from '../../native/errors.ts'
import type { Image } from '../../options/payload.ts'
import type { Route } from '../../options/routes.ts'
import type { RunResult } from '../../results/result.ts'
import type { Kind } from '../document.ts'
import { benchPort, countCell, countImage, mmioImage } from '../images.ts'
import type { RouteName } from '../route-names.ts'
import { type BenchRoute, since, timeoutMs } from './route.ts'

/** A guest that writes N times. */
export interface Writer {
  payload: Guest | Image
  memoryBytes?(count: number): number
  prepare(vm: VirtualMachine, count: number): void
}

const count: Writer = {
  payload: { image: countImage },
  prepare: (vm, n) => vm.memory.writeUint32(countCell, n),
}

export const mmio: Writer = { ...count, payload: { image: mmioImage } }

/** The buffer of the string instruction lies after the image and its cells. */
const bufferGpa = 0x1000

export const string: Writer = {
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
export class Tally {
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

/** What makes one such route. */
export interface LoopSpec {
  name: RouteName
  unit?: string
  kind?: Kind
  about: string
  writer?: Writer
  /** `run()`, else `runSync()`. */
  threaded?: boolean
  /** Its exits are recorded by `vm.trace()`. */
  traced?: boolean
  /** Every exit calls JavaScript, which can time it there. */
  stamped?: boolean
  /** Units of one run whose mean is one time; where JavaScript sees no single exit. */
  chunk?: number
  route(tally: Tally): Route
  /** Units that arrived, where JavaScript's tally does not say. */
  arrived?(vm: VirtualMachine, result: RunResult): number
}

/** A route that a guest's loop of writes goes to. */
export class LoopRoute implements BenchRoute {
  readonly name: RouteName
  readonly unit: string
  readonly kind: Kind
  readonly others = []
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
    using trace = this.#spec.traced ? vm.trace() : undefined
    const start = process.hrtime.bigint()
    const result = this.#spec.threaded
      ? await vm.run({ timeoutMs, signal })
      : vm.runSync({ timeoutMs })
    const ns = since(start)
    this.#check(vm, result, tally, units)
    checkTrace(trace, units)
    return ns
  }

  /** Many short runs of one machine, each from the guest's first instruction to its last. */
  async #chunks(units: number, signal: AbortSignal): Promise<number[]> {
    const tally = new Tally()
    const chunk = Math.min(this.unitsPerTime, units)
    using vm = this.#machine(chunk, tally)
    using trace = this.#spec.traced ? vm.trace() : undefined
    const times: number[] = []
    for (let done = chunk; done <= Math.max(units, chunk); done += chunk) {
      signal.throwIfAborted()
      vm.setRegisters({ rip: 0n })
      const start = process.hrtime.bigint()
      const result = vm.runSync({ timeoutMs })
      times.push(since(start) / chunk)
      if (result.reason !== 'hlt') this.#check(vm, result, tally, done)
    }
    checkTrace(trace, times.length * chunk)
    return times
  }

  #check(vm: VirtualMachine, result: RunResult, tally: Tally, units: number): void {
    const arrived = this.#spec.arrived ? this.#spec.arrived(vm, result) : tally.seen
    if (result.reason === 'hlt' && arrived === units) return
    raise(new Error(`${arrived} of ${units} arrived, and the run ended with ${result.reason}`))
  }
}

/** Whether it was there, of a route that has one. */
function checkTrace(trace: Trace | undefined, units: number): void {
  if (!trace || trace.length + trace.dropped > units) return
  raise(new Error(`${trace.length} exits are traced, of ${units} and a halt`))
}
