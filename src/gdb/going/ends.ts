import type { RunResult } from '../../results/result.ts'

/** Signals as the protocol counts them. */
export const signals = {
  interrupt: 2,
  illegal: 4,
  trap: 5,
  abort: 6,
  arithmetic: 8,
  kill: 9,
  bus: 10,
  segment: 11,
  alarm: 14,
  terminate: 15,
} as const

/** Why a vCPU stands still, in words of the protocol. */
export type Why = 'swbreak' | 'hwbreak' | 'watch' | 'rwatch' | 'awatch'

/** What a client is told when the machine stands still. */
export type Report =
  | {
      readonly kind: 'stopped'
      readonly signal: number
      readonly vcpu: number
      readonly why?: Why
      /** Of what was watched. */
      readonly address?: bigint
    }
  /** The guest has ended well, with this code. */
  | { readonly kind: 'exited'; readonly code: number }
  /** The machine is gone. */
  | { readonly kind: 'gone' }

/** Exceptions that have a signal of their own; the others are those of memory. */
const ofVectors: Record<number, number> = {
  0: signals.arithmetic,
  1: signals.trap,
  3: signals.trap,
  6: signals.illegal,
  16: signals.arithmetic,
  17: signals.bus,
  19: signals.arithmetic,
}

function signalOf({ reason, fault }: RunResult): number {
  switch (reason) {
    case 'fault':
      return ofVectors[fault!.vector] ?? signals.segment
    case 'shutdown':
      return signals.segment
    case 'internal-error':
    case 'fail-entry':
      return signals.abort
    case 'pio-in':
    case 'pio-out':
    case 'mmio-read':
    case 'mmio-write':
      return signals.bus
    case 'timeout':
      return signals.alarm
    case 'stopped':
      return signals.terminate
    default:
      return signals.trap
  }
}

/** How the end of a run looks to a debugger. */
export function reportOf(result: RunResult): Report {
  const { reason, exitCode = 0, vcpu } = result
  if (reason === 'exit-port') return { kind: 'exited', code: exitCode & 0xff }
  if (reason === 'power-off') return { kind: 'exited', code: 0 }
  return { kind: 'stopped', signal: signalOf(result), vcpu: vcpu ?? 0 }
}
