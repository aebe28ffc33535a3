import { VirtualMachine } from '../../index.ts'
import { raise } from '../../native/errors.ts'
import { stepImage } from '../images.ts'
import { type BenchRoute, since, timeoutMs } from './route.ts'

function counting(): VirtualMachine {
  return new VirtualMachine({ mode: 'long', payload: { image: stepImage } })
}

function step(vm: VirtualMachine, count: number): number {
  const start = process.hrtime.bigint()
  const { reason } = vm.stepSync({ count, timeoutMs })
  const ns = since(start)
  if (reason !== 'step') raise(new Error(`the steps ended with ${reason}`))
  return ns
}

/** Steps of one vCPU, as many as there are exits, in one call. */
export class StepRoute implements BenchRoute {
  readonly name = 'step'
  readonly unit = 'step'
  readonly kind = 'step'
  readonly others = []
  readonly about =
    'single steps: stepSync({ count }), of which each is looked at in Rust; C has KVM step, and looks at nothing'
  readonly unitsPerTime = 100
  readonly timing = "means of runs of 100 steps, the run's own start and end included"

  units(exits: number): number {
    return exits
  }

  probe(): void {
    counting().close()
  }

  async total(units: number): Promise<number> {
    using vm = counting()
    return step(vm, units)
  }

  async each(units: number, signal: AbortSignal): Promise<readonly number[]> {
    const chunk = Math.min(this.unitsPerTime, units)
    using vm = counting()
    const times: number[] = []
    for (let done = chunk; done <= Math.max(units, chunk); done += chunk) {
      signal.throwIfAborted()
      times.push(step(vm, chunk) / chunk)
    }
    return times
  }
}
