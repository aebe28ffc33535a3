import { take } from '../../native/errors.ts'
import type { NativeMachine, NativeStopMeans } from '../../native/seam.ts'

/**
 * By what a machine stops where its first vCPU is. `'int3'` and `'hlt'` are bytes in the guest's
 * code at which KVM exits, `'trap'` is an `int3` that leads to the machine's own table of faults,
 * `'hardware'` the processor's debug registers, `'step'` a look at every instruction.
 *
 * @category Debugging
 */
export interface DebugMeans {
  /** Whether the vCPU can be stepped. */
  readonly step: boolean
  /** How the next breakpoint works; `null` if nothing stops the vCPU where it is. */
  readonly breakpoint: 'int3' | 'hlt' | 'trap' | 'hardware' | 'step' | null
  /** How watchpoints work; `null` likewise. */
  readonly watch: 'hardware' | 'step' | null
  /** How many breakpoints the processor's debug registers hold; 0 if they do not work here. */
  readonly hardware: number
}

/** Of a machine. */
export function meansOf(machine: NativeMachine): DebugMeans {
  const { step, breakpoint, watch, hardware } = take(machine.stopMeans()) as NativeStopMeans
  return { step, breakpoint: breakpoint ?? null, watch: watch ?? null, hardware }
}
