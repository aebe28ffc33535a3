import { take } from '../../native/errors.ts'
import type { NativeMachine } from '../../native/seam.ts'
import type { RunResult } from '../../results/result.ts'
import type { Stop } from './types.ts'

/** How a run of a program has ended. */
export function toStop(result: RunResult, native: NativeMachine): Stop {
  const { reason } = result
  if (reason === 'fault' || reason === 'stopped') {
    // By a signal that came before the first instruction, or whose handler has no stack.
    const stop = stopOf(native)
    if (stop?.kind === 'killed') return stop
  }
  if (reason === 'fault') {
    const { fault, registers } = result
    return { kind: 'fault', fault: fault!, registers, explain: () => result.explain() }
  }
  const stop = stopOf(native)
  // A signal ends it before it has run.
  if (stop?.kind === 'killed') return stop
  if (reason === 'timeout' || reason === 'stopped')
    return { kind: 'timeout', registers: result.registers }
  if (stop) return stop
  // What no KVM should do: the processor has given up.
  const { registers } = result
  const fault = { vector: 8, name: reason, rip: registers.rip }
  return { kind: 'fault', fault, registers, explain: () => result.explain() }
}

/** Why a program stands still, if that is for its caller. */
export function stopOf(native: NativeMachine): Stop | undefined {
  const { kind, code, number, arguments: words, rsp, stream } = take(native.userStop())
  if (kind === undefined || kind === 'returned') return kind && { kind }
  if (kind === 'exit' || kind === 'killed') return { kind, code: code! }
  const told = { number: number!, arguments: words!, rsp: rsp! }
  return { kind, ...told, ...(stream !== undefined && { stream }) }
}
