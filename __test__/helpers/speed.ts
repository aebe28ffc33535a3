// How often a test can afford to repeat what it does. What it asserts of each repetition stays the same.
import { probe } from './kvm.ts'

/** No processor's own virtualization is that slow: the one that `doctor` measured is emulated. */
const slowExitNs = 50_000

const slowness = 10

/** The count, or a tenth of it where exits are slow. */
export function affordable(count: number): number {
  const exitNs = probe()?.exitCostNs ?? 0
  return exitNs > slowExitNs ? Math.ceil(count / slowness) : count
}
