// How often a test can afford to repeat what it does, and how long it waits. What it asserts of
// each repetition stays the same.
import { probe } from './kvm.ts'

/** Twice what `kvm_pvm` takes, and less than any emulated processor, even on a fast host. */
const slowExitNs = 20_000

const slowness = 10

/** Whether exits are slow, as on an emulated processor. */
export const isSlow = (): boolean => (probe()?.exitCostNs ?? 0) > slowExitNs

/** The count, or a tenth of it where exits are slow. */
export function affordable(count: number): number {
  return isSlow() ? Math.ceil(count / slowness) : count
}

/** A time within which something happens for sure, ten times as long where exits are slow. */
export function patient(milliseconds: number): number {
  return isSlow() ? milliseconds * slowness : milliseconds
}

/**
 * How often a test may try whose guest halts for ever when an interrupt is lost, as the emulator
 * loses one of some ten thousand (docs/two-kvms.md).
 */
export function attempts(): number {
  return isSlow() ? 3 : 1
}

/** Every how many of a long list are tried: each, or fewer where exits are slow. */
export function stride(slowStride: number): number {
  return isSlow() ? slowStride : 1
}
