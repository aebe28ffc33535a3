import { VirtualMachine } from '../../index.ts'
import { raise } from '../../native/errors.ts'
import type { RunOptions } from '../../options/run-options.ts'
import type { RunResult } from '../../results/result.ts'
import { busyImage } from '../images.ts'
import { type BenchRoute, since, timeoutMs } from './route.ts'

/** As many as there can be: the more samples, the less chance has a part in what one costs. */
const hz = 1000
/** How long one of the two runs takes at least. */
const sliceNs = 50e6
/** Rounds of the first run, and then twice as many, until they take so long. */
const firstRounds = 100_000n

/** The same work sampled and not, in turn: the difference is what samples cost. */
export const profileRoute: BenchRoute = {
  name: 'profile',
  unit: 'sample',
  kind: null,
  others: [],
  about:
    'a sample of profile(), of a guest that computes in ring 3: what the same work takes longer with ' +
    `${hz} samples a second, run beside without; 10,000 ns are 0.1 % at 100 Hz`,
  unitsPerTime: 1,
  timing: `the difference of two runs of ${sliceNs / 1e6} ms or more, divided by the samples`,
  units: (exits) => Math.max(Math.round(exits / 40), 5),
  probe: () => machine().close(),
  total: async (units, signal) => {
    const times = await differences(units, signal)
    return Math.max(1, (times.reduce((sum, ns) => sum + ns, 0) / times.length) * units)
  },
  each: differences,
}

/** Nanoseconds of a sample, over and over, until there were so many. */
async function differences(units: number, signal: AbortSignal): Promise<number[]> {
  using vm = machine()
  const work = await slice(vm, signal)
  const times: number[] = []
  for (let taken = 0; taken < units || times.length === 0;) {
    const [bare] = await timed(() => vm.run(work))
    const [sampled, profile] = await timed(() => vm.profile({ ...work, hz }))
    check(profile.result!)
    if (profile.samples === 0) continue
    taken += profile.samples
    times.push(Math.max(1, (sampled - bare) / profile.samples))
  }
  return times
}

/** A run that takes as long as a slice, or up to twice that. */
async function slice(vm: VirtualMachine, signal: AbortSignal): Promise<RunOptions> {
  for (let rcx = firstRounds; ; rcx *= 2n) {
    const work = rounds(rcx, signal)
    const [ns] = await timed(() => vm.run(work))
    if (ns >= sliceNs) return work
  }
}

function machine(): VirtualMachine {
  return new VirtualMachine({
    mode: 'long',
    privilege: 'user',
    payload: { image: busyImage },
    routes: [{ port: 0xf4, to: 'stop' }],
  })
}

function rounds(rcx: bigint, signal: AbortSignal): RunOptions {
  return { timeoutMs, signal, registers: { rip: 0n, rcx } }
}

async function timed<T>(work: () => Promise<T>): Promise<[ns: number, result: T]> {
  const start = process.hrtime.bigint()
  const result = await work()
  return [since(start), result]
}

function check({ reason }: RunResult): void {
  if (reason !== 'exit-port') raise(new Error(`the run ended with ${reason}`))
}
